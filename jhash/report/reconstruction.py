"""The section about images that an invertible network gives back from their features."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jhash.errors import InputError
from jhash.report import grid
from jhash.report.markup import image, note, row, table, tag, text, warning
from jhash.runs import paths
from jhash.runs.finished import Run
from jhash.runs.schema import DAMAGED

IMAGES = 10


class _Saved(NamedTuple):
    """What the file holds, of the images that are shown; see `jhash.reconstruction`."""

    original: np.ndarray
    reconstructed: np.ndarray
    in_range: np.ndarray
    ids: np.ndarray
    labels: np.ndarray


def section(read: Sequence[Run]) -> str:
    """Images, what came back, and the difference, for each run with an invertible network."""
    found = [run for run in read if "reconstruction" in run.results]
    if not found:
        return ""
    parts = [
        tag("h2", "Reconstruction"),
        note(
            "Queries, taken in turns from the classes, brought to the network's size as bytes, "
            "taken to the features of which the codes are made, and back by the network's "
            "inverse. The difference is that of the bytes of each channel: black is none, white "
            "the largest of the images shown, as many grey levels of 255 as its line says. Images "
            f"of more than {grid.PIXELS} pixels are shrunk as above, differences to their maxima, "
            "so that none is lost."
        ),
    ]
    for run in found:
        parts += [tag("h3", text(run.name)), note(_numbers(run.results["reconstruction"]))]
        try:
            parts.append(_table(_read(run)))
        except InputError as error:
            parts.append(warning(f"No reconstruction of {run.name}: {error}"))
    return "\n".join(parts)


def _numbers(results):
    count, lattice, lost = (results[key] for key in ("images", "lattice", "out_of_range_images"))
    words = [f"{results['identical_images']} of {count} images come back with every byte the same."]
    if results["largest_difference"] is not None:
        words.append(
            f"The largest difference is {results['largest_difference']:.3g} grey levels, before "
            "rounding to bytes."
        )
    if lattice is not None:
        words.append(
            f"Features lie on a lattice of multiples of 2^-{lattice}, to which the input is "
            "rounded first; the difference counts that rounding."
        )
    if lost:
        words.append(f"{lost} of {count} images left the range of the numbers and are lost.")
    return " ".join(words)


def _read(run):
    path = paths.reconstruction(run.workdir)
    try:
        with np.load(path) as file:
            saved = _Saved(*(file[field] for field in _Saved._fields))
            _check(saved)
    except DAMAGED as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
    return _Saved(*(array[:IMAGES] for array in saved))


def _check(saved):
    """Raises ValueError unless the arrays are what `jhash.reconstruction` writes."""
    original, reconstructed, in_range, ids, labels = saved
    count = original.shape[:1]
    if not (
        original.dtype == reconstructed.dtype == np.uint8
        and original.shape == reconstructed.shape
        and (original.ndim, in_range.dtype, ids.dtype.kind) == (4, bool, "i")
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
    head, rows = [tag("td", "")], ([], [], [])
    for place, index in enumerate(saved.ids):
        name = f"image {index}, {_classes(saved.labels[place])}"
        head.append(tag("th", name.replace(", ", "<br>", 1), scope="col"))
        cells = [_cell(saved.original[place], f"{name}: original")]
        if saved.in_range[place]:
            bytes_of = difference[place]
            differ = f"{np.count_nonzero(bytes_of):,} of {bytes_of.size:,} bytes differ"
            words = f"{differ}, by up to {bytes_of.max()}" if bytes_of.any() else "every byte equal"
            cells.append(_cell(saved.reconstructed[place], f"{name}: reconstructed, {words}"))
            cells.append(_cell(_shrink(shown[place]), f"{name}: difference, {words}"))
        else:
            cells += [tag("td", "out of range"), tag("td", "–")]
        for cells_of_row, cell in zip(rows, cells, strict=True):
            cells_of_row.append(cell)
    white = f"white: {largest}" if largest else "none"
    names = "original", "reconstructed", f"difference ({white})"
    return table([head], [row(*pair) for pair in zip(names, rows, strict=True)])


def _classes(label):
    if np.ndim(label) == 0:
        return f"class {label}"
    found = np.flatnonzero(label)
    return f"class {' '.join(map(str, found))}" if found.size else "no class"


def _cell(pixels, alt):
    return tag("td", image(grid.encode(pixels), alt))


def _shrink(pixels):
    """Maxima over squares, at most `grid.PIXELS` on a side; a mean would lose a lone pixel."""
    step = -(-max(pixels.shape[:2]) // grid.PIXELS)
    for axis in range(2):
        starts = np.arange(0, pixels.shape[axis], step)
        pixels = np.maximum.reduceat(pixels, starts, axis=axis)
    return pixels
