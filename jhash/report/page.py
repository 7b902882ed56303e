"""The page as HTML, without scripts and without references to other files."""

import itertools
import json
from collections.abc import Sequence

import jhash
from jhash.errors import InputError
from jhash.report import compare, figures, grid, reconstruction, tables
from jhash.report.curves import Measured
from jhash.report.markup import document, gallery, image, note, tag, text, warning

_CSS = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto;
  max-width: 72rem; padding: 0 1rem 3rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #bbb; }
h3 { margin: 1.5rem 0 .3rem; font-size: 1.05rem; }
.note { max-width: 48rem; color: #444; font-size: .9rem; }
.warning { border: 2px solid #b35900; background: #fff4e5; padding: .5rem 1rem; }
.scroll { overflow-x: auto; } .scroll + .scroll { margin-top: 1rem; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .7rem; border-bottom: 1px solid #ddd; text-align: right;
  overflow-wrap: anywhere; min-width: 4rem; }
tbody th, thead td { text-align: left; font-weight: normal; white-space: nowrap; }
.text { text-align: left; min-width: 8rem; }
thead th { vertical-align: bottom; overflow-wrap: normal; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr));
  gap: 1.2rem 2rem; margin-top: 1rem; }
figure { margin: 0; break-inside: avoid; }
.figures figcaption { font-weight: 600; font-size: .92rem; overflow-wrap: anywhere; }
.figures img { width: 100%; height: auto; }
.row { display: flex; gap: .8rem; padding: .5rem 0; border-bottom: 1px solid #ddd;
  break-inside: avoid; }
.row figure { flex: 0 0 6rem; }
.row ol { display: flex; flex-wrap: wrap; gap: .4rem; margin: 0; padding: 0; list-style: none; }
.row li { width: 4.6rem; }
.row figcaption, .row li { font-size: .72rem; line-height: 1.25; overflow-wrap: anywhere; }
.row img { display: block; width: 3.5rem; height: 3.5rem; object-fit: contain;
  image-rendering: pixelated; border: 4px solid #888; background: #eee; margin-bottom: .15rem; }
td img { display: block; width: 4rem; height: 4rem; margin-left: auto; object-fit: contain;
  image-rendering: pixelated; border: 1px solid #888; }
.right img { border: 4px solid #1b7f3b; } .right b { color: #1b7f3b; }
.wrong img { border: 4px dashed #c62828; } .wrong b { color: #c62828; }
@media (max-width: 40rem) { table { font-size: .8rem; }
  th, td { padding: .15rem .3rem; min-width: 3rem; }
  tbody th { white-space: normal; min-width: 4rem; overflow-wrap: break-word; }
  td:not(.text) { white-space: nowrap; } .row { flex-wrap: wrap; } .row figure { flex-basis: 100%;
  display: flex; gap: .6rem; }
  .row li { width: 3.9rem; } .row ol { gap: .3rem; } }
@media print { .scroll { overflow: visible; } table { font-size: .6rem; }
  th, td { padding: .1rem .25rem; min-width: 2.4rem; } .text { min-width: 5rem; }
  h2, h3 { break-after: avoid; } tr { break-inside: avoid; } }
"""


def render(all_measured: Sequence[Measured]) -> tuple[str, list[str]]:
    """Writes the page about runs.

    Returns:
      (page, missing): the HTML, and the line that stands on it for each run whose images cannot be
      shown.
    """
    retrieved, missing = _retrieved(all_measured)
    runs = [measured.run for measured in all_measured]
    title = f"jhash report: {', '.join(run.name for run in runs)}"
    warnings = compare.warnings(runs) + [
        f"{measured.run.name}: results.json and codes/ have different MAPs, so they are of "
        "different evaluations. The numbers here are those of codes/. Evaluate the run again."
        for measured in all_measured
        if measured.stale
    ]
    parts = [
        tag("h1", text(title)),
        *map(warning, warnings),
        tag("h2", "Results"),
        tables.summary(all_measured),
        _differences(runs),
        _categories(all_measured),
        tag("h2", "Precision and recall"),
        note(
            "Averages over all queries; exact expectations over random orders of equal distances. "
            "Learned: the database has the codes that training learned for it. Encoded: it has "
            "the codes that the model computes of its images, as for the queries. The "
            "precision-recall curve by radius has a point for each Hamming radius from 0 to the "
            "code length; a query that finds nothing within a radius counts with precision 0. The "
            "curve by ranking has a point for each of some numbers N of nearest images. Precision "
            "at recall is that where each query has found its share of its relevant images. The "
            "axes need not begin at 0."
        ),
        gallery(figures.curves(all_measured) + figures.by_length(all_measured)),
        tag("h2", "Codes"),
        note(
            "A bit is balanced if it is 1 in half of the codes (dotted line), so that the ratio of "
            "ones to zeros is 1. The ratio is ∞ for a bit that is always 1 and 0 for a bit that "
            "is never 1."
        ),
        tables.balance(all_measured),
        tables.balance_by_length(all_measured),
        gallery(map(figures.balance, all_measured)),
        tag("h2", "Distances"),
        note(
            "All pairs of a query and a database image are counted; relevant pairs share a label."
        ),
        gallery(itertools.chain.from_iterable(map(figures.distances, all_measured))),
        _training(all_measured),
        _validation(all_measured),
        retrieved,
        reconstruction.section(runs),
        tag("p", f"Written by jhash {text(jhash.__version__)}.", class_="note"),
    ]
    return document(title, _CSS, parts), missing


def _differences(runs):
    if len(runs) == 1:
        return ""
    return tag("h2", "Where the configs differ") + "\n" + tables.differences(runs)


def _categories(all_measured):
    content = tables.categories(all_measured)
    if not content:
        return ""
    words = (
        "Per category: the queries of each category are averaged, then the categories; a query of "
        "several categories counts in each. Within category, for images of several categories: "
        "the same, but to the queries of a category only images of that category are relevant."
    )
    return tag("h2", "Averages per category") + note(words) + content


def _training(all_measured):
    parts = []
    if pictures := figures.training(all_measured):
        words = (
            "From metrics.jsonl: metrics of steps, then metrics of epochs. A curve of more than "
            f"{figures.MAX_POINTS} points is drawn by means over stretches."
        )
        parts += [note(words), gallery(pictures)]
    if pictures := figures.before_training(all_measured):
        words = "What the method trained before the first epoch: for DSTGeH, the autoencoder."
        parts += [tag("h3", "First stage"), note(words), gallery(pictures)]
    return tag("h2", "Training") + "\n".join(parts) if parts else ""


def _validation(all_measured):
    content = tables.validation([measured.run for measured in all_measured])
    if not content:
        return ""
    words = (
        "Images that were taken from the training set are queries of the rest of it. The table is "
        "of the models that were evaluated; the curves are of the epochs. The queries of the test "
        "took no part in it."
    )
    return (
        tag("h2", "Validation") + note(words) + content + gallery(figures.validation(all_measured))
    )


def _retrieved(all_measured):
    parts = [
        tag("h2", "Retrieved images"),
        note(
            f"Each row shows a query and the {grid.RESULTS} images nearest to it; among equal "
            "distances, the lower place in the database comes first. ✓ and a full green frame: "
            "the image shares a label with the query. ✗ and a dashed red frame: it shares none. "
            "d: Hamming distance. AP: average precision over the whole database. The queries are "
            f"the first of each of the first {grid.QUERIES} classes, and the {grid.WORST} of the "
            "lowest average precision among those that have relevant images. Images of more than "
            f"{grid.PIXELS} pixels on a side are shrunk to that, and to {grid.COLORS} colors."
        ),
    ]
    sources = {}
    missing = []
    for measured in all_measured:
        run = measured.run
        key = json.dumps(run.results["config"]["data"], sort_keys=True)
        try:
            if key not in sources:
                sources[key] = grid.open_source(run)
            parts += _grids(measured, sources[key])
        except InputError as error:
            missing.append(f"No images of {run.name}: {error}")
            parts.append(warning(missing[-1]))
    return "\n".join(parts), missing


def _grids(measured, source):
    run = measured.run
    parts = []
    for kind, ranking in measured.rankings.items():
        for words, chosen in (
            ("first query of each class", grid.first_of_each_class(run.queries)),
            ("lowest average precision", grid.worst(ranking)),
        ):
            rows = grid.rows(run, kind, ranking, chosen, source)
            parts.append(tag("h3", text(f"{run.name}, {kind} database codes: {words}")))
            parts += map(_query, rows)
    return parts


def _query(row):
    right = sum(hit.right for hit in row.hits)
    words = f"AP {row.average_precision:.3f}<br>{right} of {len(row.hits)} right"
    caption = f"<strong>{text(row.query.classes)}</strong><br>{words}"
    shown = image(row.query.uri, f"query {row.query.index}: {row.query.classes}")
    hits = "".join(_hit(rank, hit) for rank, hit in enumerate(row.hits, 1))
    figure = tag("figure", shown + tag("figcaption", caption))
    return tag("div", figure + tag("ol", hits), class_="row")


def _hit(rank, hit):
    word, mark = ("right", "✓") if hit.right else ("wrong", "✗")
    shown = hit.thumbnail
    alt = f"{rank}: image {shown.index}, {shown.classes}, distance {hit.distance}, {word}"
    caption = f"<b>{mark}</b> d {hit.distance}<br>{text(shown.classes)}"
    return tag("li", image(shown.uri, alt) + caption, class_=word)
