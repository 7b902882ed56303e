"""The choice of curves that are drawn, and of those that share a picture."""

import itertools
import json
from collections.abc import Sequence

import numpy as np

from jhash.report import plots
from jhash.report.curves import Measured
from jhash.report.plots import Line, Picture
from jhash.runs.paths import DATABASES

RADIUS = 2  # The Hamming radius of hash lookup, as in the papers.
MAX_RANKS = 1000  # Precision@N is drawn up to this N.
MAX_POINTS = 300  # A training curve with more points is averaged to so many.


def curves(all_measured: Sequence[Measured]) -> list[Picture]:
    """Draws precision and recall, by radius and by rank.

    The curves of a single run share a picture. Several runs share a picture for each kind of
    database codes.
    """
    panels = _panels(all_measured)
    pictures = []
    for title, pick, xlabel, ylabel, scale in (
        ("Precision-recall curve", _by_recall, "recall", "precision", "linear"),
        (f"Precision@N, N up to {MAX_RANKS:,}", _by_rank, "N", "precision", "log"),
        ("Precision within a radius", _precision, "Hamming radius", "precision", "linear"),
        ("Recall within a radius", _recall, "Hamming radius", "recall", "linear"),
    ):
        panel_lines = {}
        for suffix, panel in panels.items():
            panel_lines[suffix] = [
                Line(label, *pick(metrics), look) for label, look, metrics in panel
            ]
        # Panels are read side by side, so they have the same axes.
        all_lines = list(itertools.chain(*panel_lines.values()))
        axes = {
            "xscale": scale,
            "xlim": plots.limits([line.x for line in all_lines], scale),
            "ylim": plots.limits([line.y for line in all_lines]),
        }
        pictures += [
            plots.lines(title + suffix, lines, xlabel, ylabel, **axes)
            for suffix, lines in panel_lines.items()
        ]
    return pictures


def _panels(all_measured):
    """Returns what each picture shows: {end of its title: [(label, look, metrics)]}."""
    if len(all_measured) == 1:
        rankings = all_measured[0].rankings
        panel = [
            (f"{kind} codes", DATABASES.index(kind), ranking.metrics)
            for kind, ranking in rankings.items()
        ]
        return {"": panel}
    panels = {}
    for kind in DATABASES:
        panel = [
            (measured.run.name, look, measured.rankings[kind].metrics)
            for look, measured in enumerate(all_measured)
            if kind in measured.rankings
        ]
        if panel:
            panels[f", {kind} codes"] = panel
    return panels


def _by_recall(metrics):
    return metrics["curve_radius_recall"], metrics["curve_radius_precision"]


def _by_rank(metrics):
    count = sum(rank <= MAX_RANKS for rank in metrics["curve_top"])
    return metrics["curve_top"][:count], metrics["curve_top_precision"][:count]


def _precision(metrics):
    values = metrics["curve_radius_precision"]
    return range(len(values)), values


def _recall(metrics):
    values = metrics["curve_radius_recall"]
    return range(len(values)), values


def by_length(all_measured: Sequence[Measured]) -> list[Picture]:
    """Draws MAP, and precision and recall within the radius, by code length.

    A line joins runs whose configs differ in the length alone. If all runs have the same length,
    there is no picture.
    """
    lengths = sorted({measured.run.bits for measured in all_measured})
    if len(lengths) == 1:
        return []
    families = {}
    for measured in sorted(all_measured, key=lambda measured: measured.run.bits):
        config = measured.run.results["config"] | {"bits": None}
        families.setdefault(json.dumps(config, sort_keys=True), []).append(measured)
    pictures = []
    for title, ylabel, value in (
        ("MAP by code length", "MAP", lambda metrics: metrics["map"]),
        (
            f"Precision within radius {RADIUS} by code length",
            "precision",
            lambda metrics: _at_radius(metrics["curve_radius_precision"]),
        ),
        (
            f"Recall within radius {RADIUS} by code length",
            "recall",
            lambda metrics: _at_radius(metrics["curve_radius_recall"]),
        ),
    ):
        lines = _length_lines(list(families.values()), value)
        pictures.append(plots.lines(title, lines, "bits", ylabel, xticks=lengths))
    return pictures


def _length_lines(families, value):
    """Returns a line for each family of runs and each kind of database codes that it has."""
    lines = []
    for family, kind in itertools.product(families, DATABASES):
        members = [measured for measured in family if kind in measured.rankings]
        if not members:
            continue
        label = f"{kind} codes"
        if len(families) > 1:
            label += f": {', '.join(measured.run.name for measured in family)}"
        x = [measured.run.bits for measured in members]
        y = [value(measured.rankings[kind].metrics) for measured in members]
        lines.append(Line(label, x, y, look=len(lines)))
    return lines


def _at_radius(values):
    return values[min(RADIUS, len(values) - 1)]


def balance(measured: Measured) -> Picture:
    """Draws the share of ones in every bit, for all sets of codes of a run."""
    series = [
        Line(name, range(measured.run.bits), bits.share, look)
        for look, (name, bits) in enumerate(measured.balances.items())
    ]
    title = f"Bit balance, {measured.run.name}"
    return plots.points(title, series, "bit", "share of ones", 0.5)


def distances(measured: Measured) -> list[Picture]:
    """Draws distances of relevant and of other pairs, for each kind of database codes."""
    return [
        plots.two_histograms(
            f"Distances, {measured.run.name}, {kind} codes",
            (ranking.relevant, ranking.total - ranking.relevant),
            ("relevant pairs", "other pairs"),
            "Hamming distance",
        )
        for kind, ranking in measured.rankings.items()
    ]


def training(all_measured: Sequence[Measured]) -> list[Picture]:
    """Draws each metric of `metrics.jsonl`: those of steps first, then those of epochs."""
    lines = {}  # (True for a metric of epochs, its name) -> a line per run.
    for look, measured in enumerate(all_measured):
        for key, points in _logged(measured.run).items():
            x, y = _thin(*zip(*points, strict=True))
            lines.setdefault(key, []).append(Line(measured.run.name, x, y, look))
    return [
        plots.lines(name, lines[of_epochs, name], "epochs" if of_epochs else "steps", name)
        for of_epochs, name in sorted(lines)
    ]


def _logged(run):
    """Returns the run's logged points: {(True for a metric of epochs, name): [(x, y)]}."""
    points = {}
    if not run.results["epochs"]:
        return points
    steps_per_epoch = run.results["steps"] / run.results["epochs"]
    for line in run.lines:
        # A step's line has the epochs done before the step, so only an epoch's fits exactly.
        of_epochs = line["step"] == line["epoch"] * steps_per_epoch
        x = line["epoch" if of_epochs else "step"]
        for name in sorted(set(line) - {"step", "epoch"}):
            points.setdefault((of_epochs, name), []).append((x, line[name]))
    return points


def _thin(x, y):
    """Averages x and y over MAX_POINTS stretches of nearly equal length, if they have more points.

    Fewer points stay as they are.
    """
    if len(x) <= MAX_POINTS:
        return x, y
    return _stretch_means(x), _stretch_means(y)


def _stretch_means(values):
    stretches = np.array_split(np.asarray(values), MAX_POINTS)
    return [float(np.mean(stretch)) for stretch in stretches]
