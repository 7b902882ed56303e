"""Drawings by matplotlib, as SVG; nothing here knows what a run is."""

import base64
import contextlib
import io
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart; the palest is left out.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES = ("-", "--", "-.", ":")
_STYLE = {
    "svg.hashsalt": "jhash",  # Else ids in the file are random.
    "svg.fonttype": "none",  # Text stays text: small, and found by a search.
    "text.parse_math": False,  # Names of runs may hold dollars.
    "font.size": 10,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.markersize": 4.5,
    "lines.linewidth": 1.3,
}
# matplotlib's settings are global to the process.
_LOCK = threading.Lock()
_MARKERS_A_LINE = 17  # At most.


class Line(NamedTuple):
    """A curve; lines of one `look` have one colour, marker and dash in every picture."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    look: int


class Picture(NamedTuple):
    """A drawing with its heading, and words for those who cannot see it."""

    title: str
    alt: str
    svg: str

    @property
    def uri(self) -> str:
        """The drawing as the address of an image."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg.encode()).decode()}"


def lines(title: str, curves: Sequence[Line], xlabel: str, ylabel: str, **axes: Any) -> Picture:
    """Draws curves; `axes` are properties of matplotlib's axes, such as `xscale` or `ylim`."""
    with _drawing(xlabel, ylabel) as (plot, handles, svg):
        for curve in curves:
            step = -(-len(curve.x) // _MARKERS_A_LINE)
            handles += plot.plot(
                curve.x,
                curve.y,
                **_look(curve),
                linestyle=_DASHES[curve.look % len(_DASHES)],
                # Lines that lie on each other show by markers at different places.
                markevery=(curve.look % step, step),
            )
        plot.set(**axes)
        if axes.get("xscale") == "log":
            plot.xaxis.set_major_formatter("{x:,.0f}")
    ends = [
        f"{curve.label}: {curve.y[0]:.3g} at {curve.x[0]:g}, {curve.y[-1]:.3g} at {curve.x[-1]:g}"
        for curve in curves
    ]
    return Picture(title, f"{title}. {ylabel} by {xlabel}. {'; '.join(ends)}.", svg.getvalue())


def points(title: str, series: Sequence[Line], xlabel: str, ylabel: str, middle: float) -> Picture:
    """Draws values by a marker each around a dotted line, which is the middle of the picture."""
    size = 4.5 if len(series[0].x) <= 64 else 2.5
    reach = max(0.05, *(1.1 * np.max(np.abs(one.y - middle)) for one in series))
    with _drawing(xlabel, ylabel) as (plot, handles, svg):
        plot.axhline(middle, color="#555555", linestyle=":", linewidth=1.2)
        for one in series:
            handles += plot.plot(one.x, one.y, **_look(one), linestyle="", markersize=size)
        plot.set(ylim=(middle - reach, middle + reach))
    ranges = [f"{one.label}: {np.min(one.y):.3g} to {np.max(one.y):.3g}" for one in series]
    return Picture(title, f"{title}. {ylabel} by {xlabel}. {'; '.join(ranges)}.", svg.getvalue())


def limits(groups: Sequence[Sequence[float]], scale: str = "linear") -> tuple[float, float]:
    """Limits of an axis that show all values of all groups, with a margin."""
    least, most = min(map(min, groups)), max(map(max, groups))
    if scale == "log":
        return 0.8 * least, 1.25 * most
    margin = 0.04 * (most - least) or 0.04
    return least - margin, most + margin


def two_histograms(
    title: str, counts: tuple[np.ndarray, np.ndarray], labels: tuple[str, str], xlabel: str
) -> Picture:
    """Draws two histograms over 0, 1, 2, ..., each as shares of its own sum."""
    shares = [count / max(1, count.sum()) for count in counts]
    places = np.arange(len(shares[0]))
    edges = np.append(places, len(places)) - 0.5
    looks = (
        {"facecolor": _COLORS[0], "alpha": 0.55},
        {"facecolor": "none", "edgecolor": _COLORS[1], "hatch": "////", "linewidth": 1.2},
    )
    with _drawing(xlabel, "share of pairs") as (plot, handles, svg):
        for share, label, look in zip(shares, labels, looks, strict=True):
            handles.append(plot.stairs(share, edges, label=label, fill=True, **look))
        plot.set(ylim=(0, None))
    means = [
        f"{label} lie {share @ places:.3g} apart on average"
        for share, label in zip(shares, labels, strict=True)
    ]
    return Picture(title, f"{title}. {'; '.join(means)}.", svg.getvalue())


def _look(line):
    return {
        "label": line.label,
        "color": _COLORS[line.look % len(_COLORS)],
        "marker": _MARKERS[line.look % len(_MARKERS)],
        "markerfacecolor": "none",  # What lies below shows through.
    }


@contextlib.contextmanager
def _drawing(xlabel, ylabel):
    """Axes, a list for what the legend explains (if it is more than one), and the SVG to be."""
    handles, svg = [], io.StringIO()
    with _LOCK, style.context(["default", _STYLE]):
        figure = Figure(figsize=(5, 3.7), layout="constrained")
        plot = figure.add_subplot()
        plot.set(xlabel=xlabel, ylabel=ylabel)
        yield plot, handles, svg
        if len(handles) > 1:
            # matplotlib's own list leaves out labels that begin with an underscore.
            labels = [handle.get_label() for handle in handles]
            columns = 1 if max(map(len, labels)) > 24 else 2
            figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(svg, format="svg", metadata=metadata)
