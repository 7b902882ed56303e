"""The section of retrieved images: some queries at once, the others when the reader opens them."""

import json
import os
from collections.abc import Sequence
from typing import NamedTuple

from jhash.errors import InputError
from jhash.report import grid
from jhash.report.curves import Measured, has_labels
from jhash.report.grid import Hit, Row, Thumbnail
from jhash.report.markup import breakable, folded, image, note, tag, text, warning

# Queries that are shown at once of a run alone, and of each of several.
_ALONE = 5
_AMONG_OTHERS = 3


class _Grid(NamedTuple):
    """Queries with what they retrieve, under a heading."""

    heading: str
    rows: list[Row]


def section(all_measured: Sequence[Measured]) -> tuple[str, list[str]]:
    """Shows queries and the images nearest to them.

    Returns:
      (section, missing): the HTML, and the line that stands on it for each run whose images cannot
      be shown.
    """
    parts = [tag("h2", "Retrieved images"), note(_explain(all_measured))]
    sources = {}
    missing = []
    alone = len(all_measured) == 1
    for measured in all_measured:
        run = measured.run
        key = json.dumps(run.results["config"]["data"], sort_keys=True)
        try:
            if key not in sources:
                sources[key] = grid.open_source(run)
            made = _grids(measured, sources[key])
        except InputError as error:
            missing.append(f"No images of {run.name}: {error}")
            parts.append(warning(missing[-1]))
            continue
        parts += _shown(made, "" if alone else run.name, _ALONE if alone else _AMONG_OTHERS)
    return "\n".join(parts), missing


def _explain(all_measured):
    words = (
        f"Each row shows a query and the {grid.RESULTS} images nearest to it; among equal "
        "distances, the lower place in the database comes first. d: Hamming distance in bits. "
    )
    if any(has_labels(measured.run) for measured in all_measured):
        words += (
            "✓ and a full green frame: the image shares a label with the query. ✗ and a dashed red "
            "frame: it shares none. AP: average precision over the whole database. "
        )
    return words + f"Images of more than {grid.PIXELS} pixels on a side are shrunk to that."


def _grids(measured, source):
    """Makes the grids of a run, each with its heading."""
    run = measured.run
    made = []
    for kind, ranking in measured.rankings.items():
        choices = {"queries, evenly spaced": grid.spread(run.queries)}
        if has_labels(run):
            choices = {
                f"first query of each of the first {grid.QUERIES} classes": (
                    grid.first_of_each_class(run.queries)
                ),
                "lowest average precision": grid.worst(ranking),
            }
        for words, chosen in choices.items():
            rows = grid.rows(run, kind, ranking, chosen, source)
            made.append(_Grid(f"{kind.capitalize()} database codes, {words}", rows))
    return made


def _shown(made, name, count):
    """Shows the first queries of the first grid at once, and folds the others."""
    first, *others = made
    prefix = f"{name}: " if name else ""
    if len(first.rows) > count:
        others.insert(0, _Grid(f"{first.heading}, the others", first.rows[count:]))
    more = []
    for one in others:
        more.append(_heading("h4", prefix + one.heading))
        more += map(_query, one.rows)
    return [
        _heading("h3", prefix + first.heading),
        *map(_query, first.rows[:count]),
        folded(f"More retrieved images{f' of {name}' if name else ''}", *more),
    ]


def _heading(level, words):
    return tag(level, text(words), class_="grid")


def _query(row: Row) -> str:
    shown = row.query
    lines = [f"<strong>{breakable(_label(shown))}</strong>"]
    if row.average_precision is not None:
        right = sum(hit.right for hit in row.hits)
        lines += [f"AP {row.average_precision:.3f}", f"{right} of {len(row.hits)} right"]
    alt = f"query {_described(shown)}"
    figure = image(shown.uri, alt, shown.look) + tag("figcaption", "<br>".join(lines))
    hits = "".join(_hit(rank, hit) for rank, hit in enumerate(row.hits, 1))
    return tag("div", tag("figure", figure) + tag("ol", hits), class_="row")


def _hit(rank: int, hit: Hit) -> str:
    shown = hit.thumbnail
    alt = f"{rank}: image {_described(shown)}, distance {hit.distance}"
    caption = f"d {hit.distance}<br>{breakable(_label(shown))}"
    if hit.right is None:
        return tag("li", image(shown.uri, alt, shown.look) + caption)
    word, mark = ("right", "✓") if hit.right else ("wrong", "✗")
    picture = image(shown.uri, f"{alt}, {word}", shown.look)
    return tag("li", f"{picture}<b>{mark}</b> {caption}", class_=word)


def _label(shown: Thumbnail) -> str:
    """Returns what stands under an image: its classes and the name of its file, or its index."""
    parts = [shown.classes, os.path.basename(shown.path)]
    return ", ".join(filter(None, parts)) or f"image {shown.index}"


def _described(shown: Thumbnail) -> str:
    """Returns an image in words; of its path only the last folder is told."""
    path = os.sep.join(shown.path.split(os.sep)[-2:])
    return ", ".join(filter(None, (str(shown.index), shown.classes, path)))
