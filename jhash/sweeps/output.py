"""The files of a table: Markdown, CSV, LaTeX, and a page with figures."""

import os
from collections.abc import Mapping, Sequence

from jhash.sweeps import comparison, figures, page, summary, text_formats
from jhash.sweeps.choice import Tried
from jhash.sweeps.plan import Plan
from jhash.system import files

NAMES = ("table.md", "table.csv", "table.tex", "table.html")


def write(plan: Plan, failures: Mapping[str, str], tried: Sequence[Tried], folder: str) -> str:
    """Writes all files of a table; the same runs give the same bytes.

    Args:
      plan: The plan, in which each place has at most one candidate.
      failures: The errors of runs by their folders.
      tried: What was compared to choose values of a grid.
      folder: The folder of the files.

    Returns:
      The table as Markdown.

    Raises:
      OSError: A file cannot be written.
    """
    entries = summary.collect(plan, failures)
    blocks = summary.blocks(plan, entries)
    notes = _notes(plan, entries, tried) + comparison.sentences(plan, entries)
    pictures = figures.by_column(plan, entries) + figures.curves(plan, entries)
    contents = (
        text_formats.markdown(plan, blocks, notes),
        text_formats.spreadsheet(plan, entries, blocks),
        text_formats.latex(plan, blocks, notes),
        page.render(plan, entries, blocks, pictures, notes, folder),
    )
    for name, content in zip(NAMES, contents, strict=True):
        with files.replacing(os.path.join(folder, name), "wb") as file:
            file.write(content.encode())
    return contents[0]


def _notes(plan, entries, tried):
    """Returns the sentences below a table."""
    notes = list(plan.table.notes)
    for data in plan.table.data:
        if plan.used[data.name] is None:
            notes.append(f"{data.name}: {plan.reasons[data.name]}.")
    if plan.options.quick:
        notes.append(
            "This is the quick version: a small data set and short runs. It shows that the table "
            "can be made, and is no comparison with the paper."
        )
    if plan.options.smoke:
        notes.append("These are tiny runs on random images. The numbers mean nothing.")
    notes.append("Bold: the best of a column" + _of_paper(plan.table))
    if plan.options.grid:
        notes.append(
            "The validation images are missing in the training set and in the database of these "
            "runs."
        )
    if tried:
        notes.append(
            f"Values of {', '.join(plan.options.grid)} were chosen on the validation images, for "
            "each place and with seed 0. The query images took no part in it."
        )
    return [*notes, *(_choice(plan, one) for one in tried), *_mixed(entries)]


def _of_paper(table):
    if not any(metric.paper for metric in table.metrics):
        return "."
    return (
        ", of our numbers and of the paper's apart. The paper's numbers are as it prints them, on "
        "its own data."
    )


def _choice(plan, tried):
    place = tried.place
    name = f"{place.row.name}, {plan.images(place.data)}, {place.column.name}"
    scores = []
    for candidate, score, failure in zip(
        place.candidates, tried.scores, tried.failures, strict=True
    ):
        words = f"failed: {failure.rstrip('.')}" if failure else "not finished"
        scores.append(f"{_words(candidate.values)}: {words if score is None else f'{score:.4f}'}")
    return f"{name}: {_words(tried.chosen.values)} chosen by {tried.metric} of {'; '.join(scores)}."


def _mixed(entries):
    """Says so if the runs were made by more than one version of the code, or on several machines.

    A run counts as finished by its config alone.
    """
    found = [summary.origin(results) for entry in entries for results in entry.results]
    notes = []
    for name in summary.ORIGIN:
        values = sorted({one[name] for one in found})
        if len(values) > 1:
            notes.append(f"The runs differ in their {name}: {', '.join(values)}.")
    return notes


def _words(values):
    return ", ".join(f"{name}={value}" for name, value in values.items())
