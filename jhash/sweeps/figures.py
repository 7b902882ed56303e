"""The figures of a table: metrics by column, curves of precision and recall, and of the log."""

import contextlib
import os
from collections.abc import Sequence

import numpy as np

from jhash.errors import InputError
from jhash.report import plots
from jhash.report.plots import Line, Picture
from jhash.runs import log
from jhash.sweeps.plan import Plan
from jhash.sweeps.summary import Entry
from jhash.sweeps.table import UNITS

_MAX_POINTS = 300  # A curve of the log with more points is averaged to so many.
_LABELS = {
    "precision_recall": ("recall", "precision"),
    "precision_at_n": ("N", "precision"),
}


def by_column(plan: Plan, entries: Sequence[Entry]) -> list[Picture]:
    """Draws each metric by the columns of an axis: a line for each row, and one for the paper's.

    Only rows that have a number of ours are drawn.
    """
    table = plan.table
    pictures = []
    for data in table.data:
        for metric in table.metrics:
            if metric.data is not None and data.name not in metric.data:
                continue
            for axis in table.axes:
                columns = [column for column in table.columns_of(axis) if column.x is not None]
                if len(columns) < 2:
                    continue
                lines = _column_lines(plan, entries, metric, data, columns)
                if not lines:
                    continue
                # Values of other fields than bits lie orders of magnitude apart.
                ticks = [column.x if axis == "bits" else n for n, column in enumerate(columns)]
                axes = {"xticks": ticks}
                if axis != "bits":
                    axes["xticklabels"] = [column.name for column in columns]
                title = f"{plan.images(data)}: {metric.name} by {axis}"
                pictures.append(
                    plots.lines(title, lines, axis, metric.name + metric.in_unit, **axes)
                )
    return pictures


def _column_lines(plan, entries, metric, data, columns):
    paper = plan.table.paper(metric, data)
    factor, _ = UNITS[metric.unit]
    places = {column.name: n for n, column in enumerate(columns)}
    lines = []
    for row in plan.table.rows:
        ours, theirs = [], []
        for column in columns:
            x = column.x if column.axis == "bits" else places[column.name]
            (entry,) = _at(entries, data, row, column)
            value = entry.value(metric.key)
            if value is not None:
                ours.append((x, factor * value.mean))
            if (row.name, column.name) in paper:
                theirs.append((x, float(paper[row.name, column.name])))
        if ours:
            lines.append(Line(row.name, *zip(*ours, strict=True), look=len(lines)))
            if theirs:
                name = f"{row.name}, paper"
                lines.append(Line(name, *zip(*theirs, strict=True), look=len(lines)))
    return lines


def curves(plan: Plan, entries: Sequence[Entry]) -> list[Picture]:
    """Draws the curves that a table names: a picture for each data set and column."""
    pictures = []
    for curve in plan.table.curves:
        for data in plan.table.data:
            for column in plan.table.columns:
                lines = []
                for row in plan.table.rows:
                    (entry,) = _at(entries, data, row, column)
                    points = _points(curve, entry)
                    if points is not None:
                        lines.append(Line(row.name, *points, look=len(lines)))
                if not lines:
                    continue
                xlabel, ylabel = _LABELS.get(curve.kind, ("steps", curve.key))
                words = "" if curve.kind == "training" else f", {curve.key} codes"
                title = f"{plan.images(data)}, {column.name}: {ylabel} by {xlabel}{words}"
                axes = {"xscale": "log"} if curve.kind == "precision_at_n" else {}
                pictures.append(plots.lines(title, lines, xlabel, ylabel, **axes))
    return pictures


def _at(entries, data, row, column):
    return [
        entry
        for entry in entries
        if entry.place.data is data and entry.place.row is row and entry.place.column is column
    ]


def _points(curve, entry):
    """Returns (x, y) of a curve, the mean over seeds or the log of the first; None if it lacks."""
    if curve.kind == "training":
        return _logged(curve, entry)
    names = {
        "precision_recall": ("curve_radius_recall", "curve_radius_precision"),
        "precision_at_n": ("curve_top", "curve_top_precision"),
    }[curve.kind]
    found = []
    for results in entry.results:
        lists = [results.get(curve.key, {}).get(name) for name in names]
        with contextlib.suppress(TypeError, ValueError):  # Results of others may hold anything.
            points = np.asarray(lists, np.float64)
            if points.ndim == 2 and points.size and np.isfinite(points).all():
                found.append(points)
    if not found or len({points.shape for points in found}) > 1:
        return None
    x, y = np.mean(found, axis=0)
    return x.tolist(), y.tolist()


def _logged(curve, entry):
    for workdir in entry.workdirs[:1]:
        try:
            lines = log.read_lines(os.path.join(workdir, curve.folder))
        except InputError:
            return None
        points = [(line["step"], line[curve.key]) for line in lines if curve.key in line]
        if points:
            count = min(_MAX_POINTS, len(points))
            return [
                [float(np.mean(stretch)) for stretch in np.array_split(values, count)]
                for values in zip(*points, strict=True)
            ]
    return None
