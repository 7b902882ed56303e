"""The choice of curves that are drawn, and of those that share a picture."""

import itertools
import re
from collections.abc import Sequence

import numpy as np

from jhash import retrieval
from jhash.report import compare, plots
from jhash.report.curves import Measured, has_labels
from jhash.report.plots import Constant, Line, Picture
from jhash.runs.paths import DATABASES

RADIUS = 2  # The Hamming radius of hash lookup, as in the papers.
MAX_RANKS = 1000  # Precision@N is drawn up to this N.
MAX_POINTS = 300  # A training curve with more points is averaged to so many.
# The beginning of the names of validation's metrics in `metrics.jsonl`.
VALIDATION = "validation/"
# Those of them that are drawn, besides the one that chose the epoch.
_VALIDATION_SHOWN = re.compile(r"(map|precision_at_\d|precision_radius_)")
# Units of logged metrics; others are pure numbers.
_UNITS = {
    "bit_error_rate": "share of bits",
    "changed_bits": "share of bits",
    "distinct_centers": "codes",
    "distinct_class_codes": "codes",
    "min_center_distance": "bits",
    "min_class_distance": "bits",
}
_PERCENT_OF_RANKS = re.compile(r"map_top_(\S+)_percent")
_AT_RECALL = re.compile(r"precision_at_recall_(\d+)")


def curves(all_measured: Sequence[Measured]) -> list[Picture | Constant]:
    """Draws precision and recall, by radius, by rank and by recall.

    The curves of a single run share a picture. Several runs share a picture for each kind of
    database codes. Runs without labels have no curves.
    """
    panels = _panels([measured for measured in all_measured if has_labels(measured.run)])
    if not panels:
        return []
    recall = "recall (share of relevant)"
    precision = "precision (share of found)"
    of_each = "recall of each query (share of relevant)"
    ranks, radius = "number N of nearest images", "Hamming radius (bits)"
    pictures = []
    for title, pick, xlabel, ylabel, scale in (
        ("Precision-recall curve by radius", _by_radius, recall, precision, "linear"),
        ("Precision-recall curve by ranking", _by_ranking, recall, precision, "linear"),
        ("Precision at recall", _at_recall, of_each, precision, "linear"),
        (f"Precision@N, N up to {MAX_RANKS:,}", _by_rank, ranks, precision, "log"),
        ("Precision within a radius", _precision, radius, precision, "linear"),
        ("Recall within a radius", _recall, radius, recall, "linear"),
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
            _lines(title + suffix, lines, xlabel, ylabel, **axes)
            for suffix, lines in panel_lines.items()
        ]
    return pictures


def _lines(title, lines, xlabel, ylabel, **axes):
    """Draws lines, unless each of them has one value alone."""
    if all(len(set(line.y)) <= 1 for line in lines):
        values = [f"{line.y[0]:.4g}" for line in lines]
        if len(set(values)) > 1:
            values = [f"{value} ({line.label})" for value, line in zip(values, lines, strict=True)]
        return Constant(title, ", ".join(dict.fromkeys(values)))
    return plots.lines(title, lines, xlabel, ylabel, **axes)


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


def _by_radius(metrics):
    return metrics["curve_radius_recall"], metrics["curve_radius_precision"]


def _by_ranking(metrics):
    return metrics["curve_top_recall"], metrics["curve_top_precision"]


def _at_recall(metrics):
    named = {name: match for name in metrics if (match := _AT_RECALL.fullmatch(name))}
    return [int(match[1]) / 100 for match in named.values()], [metrics[name] for name in named]


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
    """Draws MAPs, and precision, recall and F-measure within the radius, by code length.

    A line joins runs whose configs differ in the length alone. If all runs have the same length,
    there is no picture.
    """
    all_measured = [measured for measured in all_measured if has_labels(measured.run)]
    lengths = sorted({measured.run.bits for measured in all_measured})
    if len(lengths) <= 1:
        return []
    quantities = [("MAP", "MAP", lambda metrics: metrics["map"])]
    for name, title in _maps_of_the_top(all_measured).items():
        quantities.append((title, title, lambda metrics, name=name: metrics.get(name)))
    within = f"within radius {RADIUS}"
    quantities += [
        (f"Precision {within}", "precision", _precision_within),
        (f"Recall {within}", "recall", _recall_within),
        (f"F-measure {within}", "F-measure", _f_measure_within),
    ]
    return [
        plots.lines(
            f"{title} by code length",
            _length_lines(all_measured, value),
            "code length (bits)",
            ylabel,
            xticks=lengths,
        )
        for title, ylabel, value in quantities
    ]


def _maps_of_the_top(all_measured):
    """Returns the MAPs over a percentage of the database that any run has: {name: title}."""
    rankings = (measured.rankings.values() for measured in all_measured)
    names = dict.fromkeys(
        name for ranking in itertools.chain(*rankings) for name in ranking.metrics
    )
    matches = {name: _PERCENT_OF_RANKS.fullmatch(name) for name in names}
    return {name: f"mAP@{match[1]} %" for name, match in matches.items() if match}


def _length_lines(all_measured, value):
    """Returns a line for each group of runs and kind of codes, through the runs with a value."""
    lines = []
    for look, (label, kind, members) in enumerate(compare.by_length(all_measured)):
        values = {
            measured.run.bits: found
            for measured in members
            if (found := value(measured.rankings[kind].metrics)) is not None
        }
        if values:
            lines.append(Line(label, list(values), list(values.values()), look))
    return lines


def _precision_within(metrics):
    return _at_radius(metrics["curve_radius_precision"])


def _recall_within(metrics):
    return _at_radius(metrics["curve_radius_recall"])


def _f_measure_within(metrics):
    return float(retrieval.f_measure(_precision_within(metrics), _recall_within(metrics)))


def _at_radius(values):
    return values[min(RADIUS, len(values) - 1)]


def balance(measured: Measured) -> Picture:
    """Draws the share of ones in every bit, for all sets of codes of a run."""
    series = [
        Line(name, range(measured.run.bits), bits.share, look)
        for look, (name, bits) in enumerate(measured.balances.items())
    ]
    title = f"Bit balance, {measured.run.name}"
    return plots.points(title, series, "number of the bit", "share of ones", 0.5)


def distances(measured: Measured) -> list[Picture]:
    """Draws distances of relevant and of other pairs, for each kind of database codes.

    Without labels they are distances of all pairs.
    """
    pictures = []
    for kind, ranking in measured.rankings.items():
        counts, labels = [ranking.total], ["all pairs"]
        if ranking.relevant is not None:
            counts = [ranking.relevant, ranking.total - ranking.relevant]
            labels = ["relevant pairs", "other pairs"]
        title = f"Distances, {measured.run.name}, {kind} codes"
        pictures.append(plots.histograms(title, counts, labels, "Hamming distance (bits)"))
    return pictures


def training(all_measured: Sequence[Measured]) -> list[Picture | Constant]:
    """Draws each metric of `metrics.jsonl`: those of steps first, then those of epochs.

    Metrics of validation are left out; see `validation`.
    """
    lines = {}  # (True for a metric of epochs, its name) -> a line per run.
    for look, measured in enumerate(all_measured):
        for key, points in _logged(measured.run).items():
            x, y = _thin(*zip(*points, strict=True))
            lines.setdefault(key, []).append(Line(measured.run.name, x, y, look))
    return [
        _lines(
            name, lines[of_epochs, name], "epochs" if of_epochs else "training steps", _label(name)
        )
        for of_epochs, name in sorted(lines)
    ]


def _label(name):
    """Returns the name of a logged metric with its unit."""
    return f"{name} ({_UNITS[name]})" if name in _UNITS else name


def before_training(all_measured: Sequence[Measured]) -> list[Picture | Constant]:
    """Draws each metric that a method logged before the first epoch, such as DSTGeH in stage 1."""
    lines = {}  # (what was trained, the metric's name) -> a line per run.
    for look, measured in enumerate(all_measured):
        for part, logged in measured.run.pretrain_lines.items():
            for name, points in _by_epoch(logged).items():
                x, y = _thin(*zip(*points, strict=True))
                lines.setdefault((part, name), []).append(Line(measured.run.name, x, y, look))
    return [
        _lines(f"{part}: {name}", drawn, "epochs", _label(name))
        for (part, name), drawn in sorted(lines.items())
    ]


def validation(all_measured: Sequence[Measured]) -> list[Picture | Constant]:
    """Draws metrics of validation by epoch, and the epoch that one of them chose.

    The kinds of database codes of a single run share a picture. Several runs share a picture for
    each kind.
    """
    lines = {}  # (metric, end of the title) -> lines.
    for number, measured in enumerate(all_measured):
        for metric, kind, points, kept in _validated(measured.run):
            suffix, label, look = f", {kind} codes", measured.run.name, number
            if len(all_measured) == 1:
                suffix, label, look = "", f"{kind} codes", DATABASES.index(kind)
            drawn = lines.setdefault((metric, suffix), [])
            drawn.append(Line(label, *_thin(list(points), list(points.values())), look))
            if kept is not None:
                drawn.append(Line(f"{label}: kept", [kept], [points[kept]], look + 3))
    return [
        _lines(f"Validation: {metric}{suffix}", drawn, "epochs", metric)
        for (metric, suffix), drawn in sorted(lines.items(), key=_by_numbers)
    ]


def _validated(run):
    """Yields (metric, kind, value by epoch, epoch that it chose or None) for what is drawn."""
    chosen = run.results.get("validation", {})
    logged = _by_epoch(run.lines)
    for kind in DATABASES:
        for name, points in logged.items():
            metric = name.removeprefix(VALIDATION).removesuffix(f"_{kind}")
            if name != f"{VALIDATION}{metric}_{kind}":
                continue
            chose = f"{metric}_{kind}" == chosen.get("chosen_by")
            if chose or _VALIDATION_SHOWN.match(metric):
                points = dict(points)
                kept = chosen["epoch"] if chose and chosen["epoch"] in points else None
                yield metric, kind, points, kept


def _by_numbers(item):
    """Returns a key by which precision_at_100 comes before precision_at_1000."""
    (metric, suffix), _ = item
    parts = re.split(r"(\d+)", metric)  # Text and numbers in turns.
    return [int(part) if part.isdecimal() else part for part in parts], suffix


def _by_epoch(lines):
    """Returns points (epoch, value) by the name of the metric."""
    points = {}
    for line in lines:
        for name in [name for name in line if name not in ("step", "epoch")]:
            points.setdefault(name, []).append((line["epoch"], line[name]))
    return points


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
            if not name.startswith(VALIDATION):
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
