"""Which curves are drawn, and which of them share a picture."""

import json
from collections.abc import Sequence

import numpy as np

from jhash.report import plots
from jhash.report.curves import Measured
from jhash.report.plots import Line, Picture
from jhash.runs.paths import DATABASES

RADIUS = 2  # Of hash lookup, as the papers have it.
MOST_RANKS = 1000  # Precision@N is drawn up to this N.
MOST_POINTS = 300  # Of a training curve; more are averaged.


def curves(measured: Sequence[Measured]) -> list[Picture]:
    """Precision and recall, by radius and by rank: one run's curves share a picture.

    Several runs share one for each kind of database codes.
    """
    if len(measured) == 1:
        found = measured[0].rankings
        panels = {
            "": [(f"{kind} codes", DATABASES.index(kind), found[kind].metrics) for kind in found]
        }
    else:
        panels = {
            f", {kind} codes": [
                (each.run.name, look, each.rankings[kind].metrics)
                for look, each in enumerate(measured)
                if kind in each.rankings
            ]
            for kind in DATABASES
        }
    pictures = []
    for title, pick, xlabel, ylabel, scale in (
        ("Precision-recall curve", _by_recall, "recall", "precision", "linear"),
        (f"Precision@N, N up to {MOST_RANKS:,}", _by_rank, "N", "precision", "log"),
        ("Precision within a radius", _precision, "Hamming radius", "precision", "linear"),
        ("Recall within a radius", _recall, "Hamming radius", "recall", "linear"),
    ):
        drawn = {
            suffix: [Line(label, *pick(metrics), look) for label, look, metrics in panel]
            for suffix, panel in panels.items()
            if panel
        }
        # Panels are read side by side.
        every = [line for panel in drawn.values() for line in panel]
        axes = {
            "xscale": scale,
            "xlim": plots.limits([line.x for line in every], scale),
            "ylim": plots.limits([line.y for line in every]),
        }
        pictures += [
            plots.lines(title + suffix, panel, xlabel, ylabel, **axes)
            for suffix, panel in drawn.items()
        ]
    return pictures


def _by_recall(metrics):
    return metrics["curve_radius_recall"], metrics["curve_radius_precision"]


def _by_rank(metrics):
    count = sum(rank <= MOST_RANKS for rank in metrics["curve_top"])
    return metrics["curve_top"][:count], metrics["curve_top_precision"][:count]


def _precision(metrics):
    values = metrics["curve_radius_precision"]
    return range(len(values)), values


def _recall(metrics):
    values = metrics["curve_radius_recall"]
    return range(len(values)), values


def by_length(measured: Sequence[Measured]) -> list[Picture]:
    """MAP, and precision and recall within the radius, by code length; none for one length.

    A line joins runs whose configs differ in the length alone.
    """
    lengths = sorted({each.run.bits for each in measured})
    if len(lengths) == 1:
        return []
    families = {}
    for each in sorted(measured, key=lambda each: each.run.bits):
        config = each.run.results["config"] | {"bits": None}
        families.setdefault(json.dumps(config, sort_keys=True), []).append(each)
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
        drawn = []
        for family in families.values():
            names = ", ".join(each.run.name for each in family)
            for kind in DATABASES:
                chosen = [each for each in family if kind in each.rankings]
                if chosen:
                    y = [value(each.rankings[kind].metrics) for each in chosen]
                    label = f"{kind} codes" + (f": {names}" if len(families) > 1 else "")
                    drawn.append(Line(label, [each.run.bits for each in chosen], y, len(drawn)))
        pictures.append(plots.lines(title, drawn, "bits", ylabel, xticks=lengths))
    return pictures


def _at_radius(values):
    return values[min(RADIUS, len(values) - 1)]


def balance(each: Measured) -> Picture:
    """The share of ones of every bit, in all sets of codes of a run."""
    series = [
        Line(name, range(each.run.bits), part.share, look)
        for look, (name, part) in enumerate(each.balances.items())
    ]
    return plots.points(f"Bit balance, {each.run.name}", series, "bit", "share of ones", 0.5)


def distances(each: Measured) -> list[Picture]:
    """Distances of relevant and of other pairs, for each kind of database codes."""
    return [
        plots.two_histograms(
            f"Distances, {each.run.name}, {kind} codes",
            (ranking.relevant, ranking.total - ranking.relevant),
            ("relevant pairs", "other pairs"),
            "Hamming distance",
        )
        for kind, ranking in each.rankings.items()
    ]


def training(measured: Sequence[Measured]) -> list[Picture]:
    """A picture for each metric of `metrics.jsonl`: those of steps first, then those of epochs."""
    found = {}  # (whether of epochs, name) -> lines
    for look, each in enumerate(measured):
        if not each.run.results["epochs"]:
            continue
        per_epoch = each.run.results["steps"] / each.run.results["epochs"]
        logged = {}
        for line in each.run.lines:
            # A step's line has the epochs done before the step, so only an epoch's fits exactly.
            of_epoch = line["step"] == line["epoch"] * per_epoch
            for name in sorted(set(line) - {"step", "epoch"}):
                point = line["epoch" if of_epoch else "step"], line[name]
                logged.setdefault((of_epoch, name), []).append(point)
        for key, values in logged.items():
            x, y = _thin(*zip(*values, strict=True))
            found.setdefault(key, []).append(Line(each.run.name, x, y, look))
    return [
        plots.lines(name, drawn, "epochs" if of_epoch else "steps", name)
        for (of_epoch, name), drawn in sorted(found.items(), key=lambda item: item[0])
    ]


def _thin(x, y):
    """Means over stretches of equally many points, where there are more than MOST_POINTS."""
    if len(x) <= MOST_POINTS:
        return x, y
    return [
        [float(np.mean(part)) for part in np.array_split(np.asarray(values), MOST_POINTS)]
        for values in (x, y)
    ]
