"""The section about images that an invertible model makes again from their features."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jhash.errors import InputError
from jhash.report import grid
from jhash.report.markup import image, note, row, table, tag, text, warning
from jhash.runs import paths
from jhash.runs.finished import Run
from jhash.system import archives

IMAGES = 10


class _Saved(NamedTuple):
    """The arrays of a run's `reconstruction.npz`; see `jhash.encoding.reconstruction`."""

    original: np.ndarray
    reconstructed: np.ndarray
    in_range: np.ndarray
    ids: np.ndarray
    labels: np.ndarray


def section(runs: Sequence[Run]) -> str:
    """Shows images, their reconstructions and the differences.

    Runs without an invertible model are left out; without any other run, the section is empty.
    """
    invertible = [run for run in runs if "reconstruction" in run.results]
    if not invertible:
        return ""
    parts = [
        tag("h2", "Reconstruction"),
        note(
            "The images are queries, taken in turns from the classes and resized to the model's "
            "input. The model computes the features of which it makes the codes, and its inverse "
            "makes the images again from the features. The difference is that of the bytes of "
            "each channel: black is none, and white is the largest difference of the images "
            "shown, whose gray levels of 255 are given with its row. Images of more than "
            f"{grid.PIXELS} pixels on a side are shrunk; of differences the maxima are shown, so "
            "that none is lost."
        ),
    ]
    for run in invertible:
        parts += [tag("h3", text(run.name)), note(_numbers(run.results["reconstruction"]))]
        try:
            parts.append(_table(_read(run)))
        except InputError as error:
            parts.append(warning(f"No reconstruction of {run.name}: {error}"))
    return "\n".join(parts)


def _numbers(results):
    count = results["images"]
    lost = results["out_of_range_images"]
    words = [f"{results['identical_images']} of {count} images come back with every byte the same."]
    if results["largest_difference"] is not None:
        words.append(
            f"The largest difference is {results['largest_difference']:.3g} gray levels, before "
            "rounding to bytes."
        )
    if results["lattice"] is not None:
        words.append(
            f"Features lie on a lattice of multiples of 2^-{results['lattice']}, to which the "
            "input is rounded first; the difference includes that rounding."
        )
    if lost:
        words.append(f"{lost} of {count} images left the range of the numbers and are lost.")
    return " ".join(words)


def _read(run):
    path = paths.reconstruction(run.workdir)
    try:
        arrays = archives.read(path, _Saved._fields)
        if missing := [field for field in _Saved._fields if field not in arrays]:
            raise ValueError(f"it has no {' and no '.join(missing)}")
        saved = _Saved(**arrays)
        _check(saved)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
    return _Saved(*(array[:IMAGES] for array in saved))


def _check(saved):
    """Raises ValueError unless the arrays are those that `jhash.encoding.reconstruction` writes."""
    original, reconstructed, in_range, ids, labels = saved
    count = original.shape[:1]
    if not (
        original.dtype == reconstructed.dtype == np.uint8
        and original.shape == reconstructed.shape
        and (original.ndim, in_range.dtype, ids.dtype.kind) == (4, bool, "i")
        and original.shape[3:] in ((1,), (3,))
        and labels.dtype.kind in "iu"
        and labels.ndim <= 2
        and count == in_range.shape == ids.shape == labels.shape[:1]
        and original.size
    ):
        fields = saved._asdict().items()
        given = [f"{name} {array.dtype}{list(array.shape)}" for name, array in fields]
        raise ValueError(f"it holds {', '.join(given)}")


def _table(saved):
    difference = np.abs(saved.original.astype(int) - saved.reconstructed)
    difference[~saved.in_range] = 0
    largest = difference.max()
    shown = np.rint(difference * (255 / max(1, largest))).astype(np.uint8)
    head = [tag("td", "")]
    originals, reconstructions, differences = [], [], []
    for place, index in enumerate(saved.ids):
        name = f"image {index}, {_classes(saved.labels[place])}"
        head.append(tag("th", name.replace(", ", "<br>", 1), scope="col"))
        originals.append(_cell(saved.original[place], f"{name}: original"))
        if saved.in_range[place]:
            words = _in_words(difference[place])
            reconstructed = saved.reconstructed[place]
            reconstructions.append(_cell(reconstructed, f"{name}: reconstructed, {words}"))
            differences.append(_cell(_shrink(shown[place]), f"{name}: difference, {words}"))
        else:
            reconstructions.append(tag("td", "out of range"))
            differences.append(tag("td", "–"))
    white = f"white: {largest}" if largest else "none"
    rows = [
        row("original", originals),
        row("reconstructed", reconstructions),
        row(f"difference ({white})", differences),
    ]
    return table([head], rows, "Images, their reconstructions and the differences")


def _in_words(difference):
    """Describes the difference of an image, int [H, W, channels]."""
    if not difference.any():
        return "every byte equal"
    count = f"{np.count_nonzero(difference):,} of {difference.size:,} bytes"
    return f"{count} differ, by up to {difference.max()}"


def _classes(label):
    if np.ndim(label) == 0:
        return f"class {label}"
    classes = np.flatnonzero(label)
    return f"class {' '.join(map(str, classes))}" if classes.size else "no class"


def _cell(pixels, alt):
    return tag("td", image(grid.encode(pixels, exact=True), alt, grid.look(pixels)))


def _shrink(pixels):
    """Shrinks to maxima over squares, at most `grid.PIXELS` on a side; means would lose a pixel."""
    step = -(-max(pixels.shape[:2]) // grid.PIXELS)
    for axis in range(2):
        starts = np.arange(0, pixels.shape[axis], step)
        pixels = np.maximum.reduceat(pixels, starts, axis=axis)
    return pixels
