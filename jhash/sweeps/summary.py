"""What the runs of a table measured: means, deviations, the paper's numbers, the best of a column.

All formats are made of the same blocks, so that they say the same.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jhash.sweeps import finished
from jhash.sweeps.plan import Place, Plan
from jhash.sweeps.table import UNITS, Column, DataSet, Metric

# The time per cell, which every table has.
TIME = Metric("train_seconds", "training time", unit="min", best="none")
# What tells runs apart that have one config: the code that made them, and the machine.
ORIGIN = ("revision of jhash", "version of JAX", "processor")
_UNKNOWN = "unknown"
# What stands in a table for a number that there is not.
ABSENT = "–"


class Value(NamedTuple):
    """A number over seeds.

    Attributes:
      mean: Mean.
      deviation: Sample standard deviation; None for a single seed.
      count: Number of seeds.
    """

    mean: float
    deviation: float | None
    count: int


class Entry(NamedTuple):
    """A place of a table with what its runs left.

    Attributes:
      place: The place, with at most one candidate.
      results: The results of the finished runs, seed by seed.
      workdirs: Their folders.
      failures: The errors of the others, without those that have not been trained yet.
    """

    place: Place
    results: Sequence[Mapping[str, Any]]
    workdirs: Sequence[str]
    failures: Sequence[str]

    def value(self, key: str) -> Value | None:
        """Returns a number of the results by its place, such as `learned.map`."""
        numbers = [finished.number(results, key) for results in self.results]
        numbers = [number for number in numbers if number is not None]
        if not numbers:
            return None
        deviation = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None
        return Value(math.fsum(numbers) / len(numbers), deviation, len(numbers))


class BlockCell(NamedTuple):
    """A number of ours with that of the paper.

    Attributes:
      ours: Our number in words, such as `93.39 ± 0.12`; a dash if there is none.
      is_best: Whether it is the best of its column.
      paper: The paper's number in its own digits; empty if it gives none.
      paper_is_best: Whether that is the best of the paper's column.
    """

    ours: str
    is_best: bool
    paper: str
    paper_is_best: bool


class BlockRow(NamedTuple):
    """A row of a block.

    Attributes:
      name: Name of the table's row.
      cells: A cell per column.
      remark: The reason for missing numbers; empty if none is missing.
    """

    name: str
    cells: Sequence[BlockCell]
    remark: str


class Heading(NamedTuple):
    """The heading of a block's column.

    Attributes:
      name: Its words.
      metric: The metric that stands below it.
      column: The column of the table that stands below it.
      has_paper: Whether the paper gives any number for it.
    """

    name: str
    metric: Metric
    column: Column
    has_paper: bool


class Block(NamedTuple):
    """A table on one data set, with the columns of one axis or, if that has one, with metrics.

    Attributes:
      title: Data set and metric, or data set and column.
      note: What the numbers are of.
      data: The data set of the paper.
      headings: The columns.
      rows: The rows.
    """

    title: str
    note: str
    data: DataSet
    headings: Sequence[Heading]
    rows: Sequence[BlockRow]

    @property
    def has_paper(self) -> bool:
        """Tells if the paper gives any number."""
        return any(heading.has_paper for heading in self.headings)


def collect(plan: Plan, failures: Mapping[str, str]) -> list[Entry]:
    """Reads what the runs of a plan left.

    Args:
      plan: The plan, in which each place has at most one candidate.
      failures: The errors of runs by their folders.
    """
    entries = []
    for place in plan.places:
        cells = [cell for candidate in place.candidates for cell in candidate.cells]
        found = [(cell.workdir, finished.read(cell)) for cell in cells]
        done = [(workdir, results) for workdir, results in found if results is not None]
        errors = [failures[cell.workdir] for cell in cells if failures.get(cell.workdir)]
        entries.append(
            Entry(
                place,
                [results for _, results in done],
                [workdir for workdir, _ in done],
                [place.failure] if place.failure else list(dict.fromkeys(errors)),
            )
        )
    return entries


def origin(results: Mapping[str, Any]) -> dict[str, str]:
    """Returns what made the results of a run, by the names of `ORIGIN`."""
    device = results["device"]
    # Results of older versions have no processor.
    processor = device.get("processor") if device.get("platform") == "cpu" else device["kind"]
    values = (results["git_revision"], results["versions"].get("jax"), processor)
    return {
        name: value if isinstance(value, str) else _UNKNOWN
        for name, value in zip(ORIGIN, values, strict=True)
    }


def blocks(plan: Plan, entries: Sequence[Entry]) -> list[Block]:
    """Makes the tables of a plan: one per data set, metric and axis, with the times at the end.

    Metrics of an axis with one column stand side by side in one table.
    """
    made = []
    metrics = [*plan.table.metrics]
    if all(metric.key != TIME.key for metric in metrics):
        metrics.append(TIME)
    for data in plan.table.data:
        here = [metric for metric in metrics if metric.data is None or data.name in metric.data]
        for axis in plan.table.axes:
            columns = plan.table.columns_of(axis)
            if len(columns) > 1:
                for metric in here:
                    paper = bool(plan.table.paper(metric, data))
                    words = ", percent" if metric.unit == "%" else metric.in_unit
                    by = f" by {axis}" if len(plan.table.axes) > 1 else ""
                    title = f"{data.name}: {metric.name}{by}{words}"
                    headings = [Heading(column.name, metric, column, paper) for column in columns]
                    made.append(_block(plan, entries, title, data, headings))
                continue
            headings = []
            for metric in here:
                paper = bool(plan.table.paper(metric, data))
                name = metric.name + ("" if metric.unit == "%" else metric.in_unit)
                headings.append(Heading(name, metric, columns[0], paper))
            words = ", percent" if any(metric.unit == "%" for metric in here) else ""
            title = f"{data.name}, {columns[0].name}{words}"
            made.append(_block(plan, entries, title, data, headings))
    # A data set of which there is neither a run nor a number of the paper has a line in the notes.
    return [block for block in made if block.has_paper or plan.used[block.data.name]]


def shown(value: Value, unit: str) -> str:
    """Formats a number with its deviation; its count stands elsewhere."""
    factor, decimals = UNITS[unit]
    text = f"{factor * value.mean:.{decimals}f}"
    if value.deviation is not None:
        text += f" ± {factor * value.deviation:.{decimals}f}"
    return text


def _block(plan, entries, title, data, headings):
    names = [row.name for row in plan.table.rows]
    names = [name for name in names if any(_has_row(heading.metric, name) for heading in headings)]
    by_place = {
        (entry.place.row.name, entry.place.column.name): entry
        for entry in entries
        if entry.place.data is data
    }
    ours, papers = [], []  # Of each column: {name of the row: number}.
    for heading in headings:
        key, column = heading.metric.key, heading.column.name
        values = {name: by_place[name, column].value(key) for name in names}
        ours.append({name: value for name, value in values.items() if value is not None})
        paper = plan.table.paper(heading.metric, data)
        papers.append({row: number for (row, of), number in paper.items() if of == column})
    most = max((value.count for values in ours for value in values.values()), default=0)
    columns = [
        _column(heading, values, paper, names, by_place, most)
        for heading, values, paper in zip(headings, ours, papers, strict=True)
    ]
    rows = []
    for number, name in enumerate(names):
        cells = [column[number] for column in columns]
        rows.append(BlockRow(name, cells, _remark(by_place, name, headings, plan, data)))
    return Block(title, _note(plan, data, most), data, headings, rows)


def _has_row(metric, name):
    return metric.rows is None or name in metric.rows


def _column(heading, values, paper, names, by_place, most):
    """Makes the cells of a column."""
    metric = heading.metric
    # By the digits that are shown.
    factor, decimals = UNITS[metric.unit]
    best = _best(
        metric, {name: round(factor * value.mean, decimals) for name, value in values.items()}
    )
    paper_best = _best(metric, paper)
    cells = []
    for name in names:
        words = ABSENT
        if name in values:
            words = shown(values[name], metric.unit)
            if values[name].count < most:
                words += f" (n = {values[name].count})"
        elif by_place[name, heading.column.name].failures:
            words = "failed"
        printed = f"{paper[name]:f}" if name in paper else ""
        cells.append(BlockCell(words, name in best, printed, name in paper_best))
    return cells


def _best(metric, numbers):
    """Returns the names of the best numbers; a number alone is not the best of anything."""
    if metric.best == "none" or len(numbers) < 2:
        return set()
    keys = {"max": lambda x: -x, "min": lambda x: x, "one": lambda x: abs(float(x) - 1)}
    losses = {name: keys[metric.best](number) for name, number in numbers.items()}
    return {name for name, loss in losses.items() if loss == min(losses.values())}


def _note(plan, data, most):
    used, reason = plan.used[data.name], plan.reasons[data.name]
    if used is None:
        return f"Not run: {reason}."
    words = f"Ours is on {'random images' if plan.options.smoke else used.name}"
    if used.name != data.name:
        words += f" in place of {data.name}, as {reason}"
    if most > 1:
        words += f"; mean ± sample standard deviation over n = {most} seeds"
    elif most == 1:
        words += "; n = 1 seed"
    return f"{words}."


def _remark(by_place, name, headings, plan, data):
    """Says why numbers of a row are missing."""
    remarks = {}  # Remark -> the columns for which it holds.
    for heading in headings:
        entry = by_place[name, heading.column.name]
        place = entry.place
        if place.reason:
            # What holds for the whole data set stands above the table.
            remark = "" if place.reason == plan.reasons[data.name] else place.reason
        elif entry.failures:
            remark = f"failed: {'; '.join(entry.failures)}"
        elif not entry.results:
            remark = "not trained yet"
        elif _has_row(heading.metric, name) and entry.value(heading.metric.key) is None:
            remark = "its results have no such number"
        elif len(entry.results) < len(place.candidates[0].cells):
            remark = f"{len(entry.results)} of {len(place.candidates[0].cells)} seeds are trained"
        else:
            remark = ""
        remarks.setdefault(remark, []).append(heading.name)
    words = []
    for remark, names in remarks.items():
        if remark and len(names) == len(headings):
            words.append(remark)
        elif remark:
            words.append(f"{', '.join(names)}: {remark}")
    return "; ".join(words)
