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
    notes = _notes(plan, tried) + comparison.sentences(plan, entries)
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


def _notes(plan, tried):
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
    notes.append(
        "Bold: the best of a column, of our numbers and of the paper's apart. The paper's numbers "
        "are as it prints them, on its own data."
    )
    if tried:
        fields = ", ".join(tried[0].place.candidates[0].values)
        notes.append(
            f"Values of {fields} were chosen on the validation images, for each place and with "
            "seed 0. The query images took no part in it. The validation images are "
            "missing in the training set and in the database."
        )
        notes += [_choice(one) for one in tried]
    return notes


def _choice(tried):
    place = tried.place
    name = f"{place.row.name}, {place.data.name}, {place.column.name}"
    scores = [
        f"{_words(candidate.values)}: {'not finished' if score is None else f'{score:.4f}'}"
        for candidate, score in zip(place.candidates, tried.scores, strict=True)
    ]
    return f"{name}: {_words(tried.chosen.values)} chosen by {tried.metric} of {'; '.join(scores)}."


def _words(values):
    return ", ".join(f"{name}={value}" for name, value in values.items())
