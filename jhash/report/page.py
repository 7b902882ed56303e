"""The page as HTML, without scripts and without references to other files.

What a reader wants first is at the top: the numbers that matter and retrieved images, then curves.
Long tables and further images are folded, which also keeps them off paper.
"""

import itertools
from collections.abc import Sequence

import jhash
from jhash.report import compare, figures, headline, reconstruction, retrieved, tables
from jhash.report.curves import Measured, has_labels
from jhash.report.markup import document, folded, gallery, note, tag, text, warning
from jhash.report.style import CSS

# The beginning of each query with its images, also in the pages of earlier versions.
QUERY = b'<div class="row">'


def render(all_measured: Sequence[Measured]) -> tuple[str, list[str]]:
    """Writes the page about runs.

    Returns:
      (page, missing): the HTML, and the line that stands on it for each run whose images cannot be
      shown.
    """
    images, missing = retrieved.section(all_measured)
    runs = [measured.run for measured in all_measured]
    title = f"jhash report: {', '.join(run.name for run in runs)}"
    warnings = compare.warnings(runs) + [
        f"{measured.run.name}: results.json and codes/ have different MAPs, so they are of "
        "different evaluations. The numbers here are those of codes/. Evaluate the run again."
        for measured in all_measured
        if measured.stale
    ]
    alone = len(runs) == 1
    parts = [
        tag("h1", text(title)),
        headline.facts(all_measured[0]) if alone else "",
        *map(warning, warnings),
        headline.section(all_measured),
        "" if alone else folded("Where the configs differ", tables.differences(runs)),
        images,
        _curves(all_measured),
        _codes(all_measured),
        _training(all_measured),
        _validation(all_measured),
        reconstruction.section(runs),
        _numbers(all_measured),
        tag("p", f"Written by jhash {text(jhash.__version__)}.", class_="note"),
    ]
    return document(title, CSS, filter(None, parts)), missing


def _curves(all_measured):
    pictures = figures.curves(all_measured) + figures.by_length(all_measured)
    if not pictures:
        return ""
    words = (
        "The precision-recall curve by radius has a point for each Hamming radius from 0 to the "
        "code length; a query that finds nothing within a radius counts with precision 0. The "
        "curve by ranking has a point for each of some numbers N of nearest images. Precision at "
        "recall is that where each query has found its share of its relevant images. The axes need "
        "not begin at 0."
    )
    return tag("h2", "Precision and recall") + note(words) + gallery(pictures)


def _codes(all_measured):
    words = (
        "A bit is balanced if it is 1 in half of the codes (dotted line). All pairs of a query and "
        "a database image are counted"
    )
    if any(has_labels(measured.run) for measured in all_measured):
        words += "; relevant pairs share a label"
    ratios = note(
        "The ratio of ones to zeros of a bit is 1 if it is balanced, ∞ if it is always 1 and 0 if "
        "it is never 1."
    )
    return "\n".join(
        (
            tag("h2", "Codes"),
            note(f"{words}."),
            gallery(
                itertools.chain(
                    map(figures.balance, all_measured),
                    itertools.chain.from_iterable(map(figures.distances, all_measured)),
                )
            ),
            tables.balance_by_length(all_measured),
            folded("Balance in numbers", ratios, *map(tables.balance, all_measured)),
        )
    )


def _numbers(all_measured):
    runs = [measured.run for measured in all_measured]
    parts = [
        tag("h2", "All numbers"),
        folded("Metrics", tables.metrics(all_measured)),
        _categories(all_measured),
        folded("The run" if len(runs) == 1 else "The runs", tables.facts(runs)),
    ]
    return tag("section", "\n".join(filter(None, parts)), class_="folded")


def _categories(all_measured):
    words = (
        "Per category: the queries of each category are averaged, then the categories; a query of "
        "several categories counts in each. Within category, for images of several categories: "
        "the same, but to the queries of a category only images of that category are relevant."
    )
    content = tables.categories(all_measured)
    return folded("Averages per category", note(words), content) if content else ""


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
    pictures = gallery(figures.validation(all_measured))
    table = folded("Metrics of validation", content)
    return tag("h2", "Validation") + note(words) + pictures + table
