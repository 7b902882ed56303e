"""Comparison of two pictures: whether one is a crop of the other, or both are the same.

Codes find pictures that look alike. Of these, this module tells the ones that are the same
picture: a crop, or a copy of another size or quality. First, normalized cross-correlation finds the
place and the scale at which one picture fits best into the other. Then both are refined until the
colors agree best, and what remains of the difference decides. A mirrored, turned, stretched or
recolored copy is another picture.

All is done on pictures of 192 pixels or less, in a time that is bounded for each pair.

References:
  Lewis, Fast Normalized Cross-Correlation, Vision Interface 1995: sums over windows by integral
  images.
"""

import functools
from typing import NamedTuple

import numpy as np
import scipy.fft
from PIL import Image

# The longer side in pixels of the pictures that are compared, and the least of the shorter side.
SIDE = 192
MIN_SIDE = 16
# The largest mean difference of colors, of 255, of pictures that are the same.
MAX_DIFFERENCE = 3.0

# The longer side in pixels at which a place is searched for. Differences of half a step of the
# scale move the border of a crop by less than one of these pixels.
_SEARCHED = 64
# The longer sides of a crop that are tried.
_SMALLEST = 0.4
_STEP = 1.05
# Crops with a lower correlation are not looked at any closer. It is low, since a crop between two
# scales correlates little with fine texture such as grass.
_MIN_CORRELATION = 0.6
# Pictures that are dark or pale all over differ little without being alike.
_MIN_REFINED = 0.95
# The longer side in pixels at which colors are compared.
_COMPARED = 48
# Standard deviation of gray values, of 255, below which there is nothing to find a place by.
_MIN_CONTRAST = 2.0
# The refinement halves its steps so many times, and moves so many times by steps of one size.
_HALVINGS = 6
_MOVES = 4


class _Place(NamedTuple):
    """A crop within a picture: its center and its longer side, in units of the longer side."""

    x: float
    y: float
    scale: float


class Picture:
    """A picture that is compared with others."""

    def __init__(self, pixels: np.ndarray):
        """Takes a picture.

        Args:
          pixels: uint8 [height, width, 3]; one that is larger than `SIDE` becomes smaller.
        """
        image = Image.fromarray(pixels)
        image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
        self.image = image
        self.sides = np.array(image.size) / max(image.size)  # (width, height), the longer one is 1.

    @functools.cached_property
    def is_usable(self) -> bool:
        """Whether it is large enough and has any structure by which a place can be found."""
        return min(self.image.size) >= MIN_SIDE and self.gray.std() >= _MIN_CONTRAST

    @functools.cached_property
    def gray(self) -> np.ndarray:
        """Gray values around 0, float32 [H, W], the longer side is 64."""
        return self._gray(_SEARCHED)

    @functools.cached_property
    def spectrum(self) -> np.ndarray:
        """The spectrum of the gray values, complex64 [64, 33]."""
        return scipy.fft.rfft2(self.gray, (_SEARCHED, _SEARCHED))

    @functools.cached_property
    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Integral images of the gray values and of their squares, float64 [H + 1, W + 1]."""
        gray = self.gray.astype(np.float64)
        return _integral(gray), _integral(gray * gray)

    @functools.cached_property
    def templates(self) -> tuple[np.ndarray, np.ndarray]:
        """The picture at all scales S, each with mean 0 and norm 1.

        Returns:
          (shapes, spectra): int [S, 2], (height, width), and complex64 [S, 64, 33], conjugated.
        """
        grays = [self._gray(side) for side in _sides()]
        stack = np.zeros((len(grays), _SEARCHED, _SEARCHED), np.float32)
        for slot, gray in zip(stack, grays, strict=True):
            centered = gray - gray.mean()
            slot[: gray.shape[0], : gray.shape[1]] = centered / max(np.linalg.norm(centered), 1e-6)
        return np.array([gray.shape for gray in grays]), scipy.fft.rfft2(stack).conj()

    @functools.cached_property
    def colors(self) -> np.ndarray:
        """All of the picture as colors are compared, float32 [h, w, 3]."""
        return self.colors_at(_Place(*self.sides / 2, 1.0), self.sides)

    def colors_at(self, place: _Place, sides: np.ndarray) -> np.ndarray:
        """Cuts out a crop as colors are compared, float32 [h, w, 3].

        Args:
          place: The crop, within the picture.
          sides: (width, height) of the crop, of which the longer one is 1.
        """
        half = place.scale * sides / 2
        low = np.maximum((place[:2] - half) * max(self.image.size), 0)
        high = np.minimum((place[:2] + half) * max(self.image.size), self.image.size)
        size = _whole_sides(sides, _COMPARED)
        crop = self.image.resize(size, Image.Resampling.BILINEAR, (*low, *high))
        return np.asarray(crop, np.float32)

    def _gray(self, side):
        gray = self._small.resize(_whole_sides(self.sides, side), Image.Resampling.BILINEAR)
        return np.asarray(gray, np.float32) - np.float32(127.5)

    @functools.cached_property
    def _small(self):
        size = _whole_sides(self.sides, 1.5 * _SEARCHED)
        return self.image.convert("L").resize(size, Image.Resampling.BILINEAR)


def difference(one: Picture, other: Picture) -> float | None:
    """Compares two pictures.

    Args:
      one: A picture.
      other: Another one; they may change places.

    Returns:
      The mean difference of their colors, 0 to `MAX_DIFFERENCE`, where one lies within the other.
      None if they are not the same, or one of them is too small or nearly of one color.
    """
    if not (one.is_usable and other.is_usable):
        return None
    ways = [(*_find(one, other), one, other), (*_find(other, one), other, one)]
    correlation, place, crop, whole = max(ways, key=lambda way: way[0])
    if correlation < _MIN_CORRELATION:
        return None
    # Of a copy with other colors, the mean differs at any place near by.
    means = [colors.mean((0, 1)) for colors in (crop.colors, whole.colors_at(place, crop.sides))]
    if np.abs(means[0] - means[1]).max() > 2 * MAX_DIFFERENCE:
        return None
    remaining, place = _refine(crop, whole, place)
    alike = _correlation(crop.colors, whole.colors_at(place, crop.sides))
    return remaining if remaining <= MAX_DIFFERENCE and alike >= _MIN_REFINED else None


def _find(crop: Picture, whole: Picture) -> tuple[float, _Place]:
    """Finds where a picture fits best into another one; returns (correlation, place)."""
    shapes, spectra = crop.templates
    height, width = whole.gray.shape
    fits = (shapes[:, 0] <= height) & (shapes[:, 1] <= width)
    if not fits.any():
        return -1.0, _Place(0, 0, 0)
    shapes, spectra = shapes[fits], spectra[fits]
    # The sums wrap around only where a template would leave the picture.
    products = scipy.fft.irfft2(whole.spectrum * spectra, (_SEARCHED, _SEARCHED))
    best, found = -1.0, _Place(0, 0, 0)
    for (h, w), product in zip(shapes.tolist(), products, strict=True):
        sums, squares = (_windows(integral, h, w) for integral in whole.sums)
        variances = squares / (h * w) - (sums / (h * w)) ** 2
        norms = np.sqrt(np.maximum(variances, _MIN_CONTRAST**2) * (h * w))
        correlations = product[: height - h + 1, : width - w + 1] / norms
        place = int(correlations.argmax())
        y, x = divmod(place, correlations.shape[1])
        if correlations[y, x] > best:
            best = float(correlations[y, x])
            found = _Place((x + w / 2) / _SEARCHED, (y + h / 2) / _SEARCHED, max(h, w) / _SEARCHED)
    return best, found


def _refine(crop: Picture, whole: Picture, place: _Place) -> tuple[float, _Place]:
    """Moves and scales a crop as long as that makes the mean difference of colors smaller.

    Returns:
      (mean difference, place).
    """

    def cost(place):
        return float(np.abs(whole.colors_at(place, crop.sides) - crop.colors).mean())

    def within(place):
        scale = min(place.scale, *(whole.sides / crop.sides))
        half = scale * crop.sides / 2
        x, y = np.clip(place[:2], half, whole.sides - half).tolist()
        return _Place(x, y, scale)

    place = within(place)
    best = cost(place)
    step = 1 / _SEARCHED
    for _ in range(_HALVINGS):
        for _ in range(_MOVES):
            moves = [
                place._replace(**{name: getattr(place, name) + sign * step})
                for name in _Place._fields
                for sign in (-1, 1)
            ]
            costs = [cost(within(move)) for move in moves]
            if min(costs) >= best:
                break
            best = min(costs)
            place = within(moves[costs.index(best)])
        step /= 2
    return best, place


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the correlation of colors, -1 to 1; 0 if one picture has a single color."""
    centered = [colors - colors.mean((0, 1)) for colors in (one, other)]
    norms = [float(np.linalg.norm(colors)) for colors in centered]
    return float((centered[0] * centered[1]).sum()) / max(norms[0] * norms[1], 1e-6)


@functools.cache
def _sides() -> tuple[float, ...]:
    count = int(np.log(1 / _SMALLEST) / np.log(_STEP)) + 1
    return tuple(_SEARCHED * _STEP**-level for level in range(count + 1))


def _whole_sides(sides, longer):
    return tuple(max(1, round(longer * side)) for side in sides.tolist())


def _integral(values):
    return np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))


def _windows(integral, h, w):
    """Returns the sum over each window of h x w."""
    return integral[h:, w:] - integral[:-h, w:] - integral[h:, :-w] + integral[:-h, :-w]
