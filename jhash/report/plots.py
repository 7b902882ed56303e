"""Drawings by matplotlib, as SVG, of numbers of any kind."""

import base64
import contextlib
import io
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from jhash.errors import printable

# Okabe and Ito's colors, which color-blind readers can tell apart; the palest is left out.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES = ("-", "--", "-.", ":")
_STYLE = {
    "svg.hashsalt": "jhash",  # Otherwise ids in the file are random.
    "svg.fonttype": "none",  # Text stays text, which is small and can be searched.
    "text.parse_math": False,  # Names of runs may hold dollar signs.
    "font.size": 10,
    "axes.formatter.useoffset": False,  # Numbers at the axes are whole, not to be added up.
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.markersize": 4.5,
    "lines.linewidth": 1.3,
}
# Held while drawing, as matplotlib's settings are global to the process.
_LOCK = threading.Lock()
_MAX_MARKERS = 17  # Markers of a line, at most.


class Line(NamedTuple):
    """A curve.

    Attributes:
      label: Name in the legend.
      x: Horizontal positions.
      y: Values at these positions.
      look: Number that chooses color, marker and dashes, the same in every picture.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    look: int


class Constant(NamedTuple):
    """What is told in words in place of a drawing, since it is the same everywhere.

    Attributes:
      title: Heading that the drawing would have.
      words: The value, or that of each line.
    """

    title: str
    words: str


class Picture(NamedTuple):
    """A drawing.

    Attributes:
      title: Heading.
      alt: Description for those who cannot see the drawing.
      svg: The drawing as SVG.
    """

    title: str
    alt: str
    svg: str

    @property
    def uri(self) -> str:
        """The drawing as a data URI."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg.encode()).decode()}"


def lines(title: str, curves: Sequence[Line], xlabel: str, ylabel: str, **axes: Any) -> Picture:
    """Draws curves; `axes` are properties of matplotlib's axes, such as `xscale` or `ylim`."""
    with _drawing(xlabel, ylabel) as (plot, handles, svg):
        for curve in curves:
            step = -(-len(curve.x) // _MAX_MARKERS)
            handles += plot.plot(
                curve.x,
                curve.y,
                **_look(curve),
                linestyle=_DASHES[curve.look % len(_DASHES)],
                # Lines that cover each other are told apart by markers at different places.
                markevery=(curve.look % step, step),
            )
        # Epochs, steps and radii have no halves.
        whole = all(float(x).is_integer() for curve in curves for x in curve.x)
        plot.xaxis.get_major_locator().set_params(integer=whole)
        plot.set(**axes)
        if axes.get("xscale") == "log":
            plot.xaxis.set_major_formatter("{x:,.0f}")
    ends = [
        f"{curve.label}: {curve.y[0]:.3g} at {curve.x[0]:g}, {curve.y[-1]:.3g} at {curve.x[-1]:g}"
        for curve in curves
    ]
    return Picture(title, f"{title}. {ylabel} by {xlabel}. {'; '.join(ends)}.", svg.getvalue())


def points(title: str, series: Sequence[Line], xlabel: str, ylabel: str, middle: float) -> Picture:
    """Draws a marker per value; a dotted line at `middle` halves the picture."""
    size = 4.5 if len(series[0].x) <= 64 else 2.5
    reach = max(0.05, *(1.1 * np.max(np.abs(line.y - middle)) for line in series))
    with _drawing(xlabel, ylabel) as (plot, handles, svg):
        plot.axhline(middle, color="#555555", linestyle=":", linewidth=1.2)
        for line in series:
            handles += plot.plot(line.x, line.y, **_look(line), linestyle="", markersize=size)
        plot.set(ylim=(middle - reach, middle + reach))
    ranges = [f"{line.label}: {np.min(line.y):.3g} to {np.max(line.y):.3g}" for line in series]
    return Picture(title, f"{title}. {ylabel} by {xlabel}. {'; '.join(ranges)}.", svg.getvalue())


def limits(groups: Sequence[Sequence[float]], scale: str = "linear") -> tuple[float, float]:
    """Returns the limits of an axis that shows all values of all groups, with a margin."""
    smallest = min(map(min, groups))
    largest = max(map(max, groups))
    if scale == "log":
        return 0.8 * smallest, 1.25 * largest
    margin = 0.04 * (largest - smallest) or 0.04
    return smallest - margin, largest + margin


def histograms(
    title: str, counts: Sequence[np.ndarray], labels: Sequence[str], xlabel: str
) -> Picture:
    """Draws one or two histograms over the integers from 0 on, each as shares of its own sum."""
    shares = [count / max(1, count.sum()) for count in counts]
    places = np.arange(len(shares[0]))
    edges = np.append(places, len(places)) - 0.5
    looks = (
        {"facecolor": _COLORS[0], "alpha": 0.55},
        {"facecolor": "none", "edgecolor": _COLORS[1], "hatch": "////", "linewidth": 1.2},
    )
    with _drawing(xlabel, f"share of {labels[0] if len(labels) == 1 else 'the pairs'}") as drawing:
        plot, handles, svg = drawing
        for share, label, look in zip(shares, labels, looks, strict=False):
            handles.append(plot.stairs(share, edges, label=label, fill=True, **look))
        plot.xaxis.get_major_locator().set_params(integer=True)
        plot.set(ylim=(0, None))
    means = [
        f"{label} lie {share @ places:.3g} apart on average" if share.any() else f"no {label}"
        for share, label in zip(shares, labels, strict=True)
    ]
    return Picture(title, f"{title}. {'; '.join(means)}.", svg.getvalue())


def _look(line):
    return {
        "label": line.label,
        "color": _COLORS[line.look % len(_COLORS)],
        "marker": _MARKERS[line.look % len(_MARKERS)],
        "markerfacecolor": "none",  # Lines below stay visible.
    }


@contextlib.contextmanager
def _drawing(xlabel, ylabel):
    """Opens axes, and writes the drawing at the end of the block.

    Yields:
      (axes, handles, svg): the axes; an empty list, for the caller to add what the legend explains
      (one entry alone gets no legend); and a text buffer, which holds the SVG after the block.
    """
    handles = []
    svg = io.StringIO()
    with _LOCK, style.context(["default", _STYLE]):
        figure = Figure(figsize=(5, 3.4), layout="constrained")
        plot = figure.add_subplot()
        plot.set(xlabel=xlabel, ylabel=ylabel)
        yield plot, handles, svg
        if len(handles) > 1:
            # matplotlib's own list leaves out labels that begin with an underscore.
            labels = [printable(handle.get_label()) for handle in handles]
            columns = 1 if max(map(len, labels)) > 24 else 2
            figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        # The page behind it may be light or dark.
        figure.savefig(svg, format="svg", metadata=metadata, transparent=True)
