"""Composed scenes of several Fashion-MNIST items.

They are a multi-label data set that by default needs no download.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from jhash.data import idx, splits
from jhash.data.sources import ArraySource
from jhash.errors import InputError

_BASES = ("embedded", "fashion_mnist")
_ITEMS = (2, 4)  # min and max number of items of a scene
_TEST_EVERY = 10  # The first of so many scenes in a row belongs to the part "test".
# Max share of the smaller of two boxes that the other may cover. Most items leave some of their box
# empty, so a covered quarter of the box hides little of the item.
_OVERLAP = 0.25
# Min side of a canvas. Items have 10 to 14 pixels there; with fewer they cannot be recognized.
_SMALLEST = 28
_MAX_BYTES = 1 << 36


class Placed(NamedTuple):
    """An item of the base that is resized and placed in a scene.

    Its box is the rows top to top + side - 1 and the columns left to left + side - 1.

    Attributes:
      item: Index of the item in the base.
      side: Height and width to which the item is resized, in pixels.
      top: Row of the upper left corner.
      left: Column of the upper left corner.
    """

    item: int
    side: int
    top: int
    left: int


def scenes(
    count: int = 10_000, image_size: int = 56, scene_seed: int = 0, base: str = "embedded"
) -> ArraySource:
    """Makes gray images of two to four Fashion-MNIST items, each of another class.

    The labels are uint8 [N, 10], with a 1 for the class of each item. The number of items, the
    classes, the items, their sizes (5/14 to 1/2 of the canvas: 20 to 28 of 56 pixels) and their
    places are uniform draws. Boxes lie within the canvas and cover at most a quarter of each other.
    Where two items overlap, the scene has the larger of their gray values, as the background of
    items is black.

    Scenes 0, 10, 20, ... are the part "test", the others the part "train", for the split
    `official`. The two parts are made of different items. With `fashion_mnist` these are its own
    parts. With `embedded` they are the 1,000 queries and the 9,000 other images of the split
    `embedded` with seed 0, whatever `scene_seed` is. Within a part an item may be in several
    scenes.

    Two scenes have a class in common with probability 0.68, which is about the MAP of a random
    order. The MAP of a method is to be compared with this number, not with 0.

    All scenes are made in this call and kept in memory: the default 10,000 take 31 MB and about
    four seconds of one core. The labels need the draws anyway, and images made when they are read
    would cost that time in every epoch. Scene i depends on `scene_seed`, i, `image_size` and
    `base`, not on `count`.

    Args:
      count: Number of scenes, 2 or more, so that both parts have one.
      image_size: Height and width of the scenes in pixels, 28 or more.
      scene_seed: Seed of the draws, 0 or more. (`seed` is that of the split.)
      base: Source of the items, `embedded` or `fashion_mnist`. The folder of the latter is its
        default one.

    Raises:
      InputError: An argument is not allowed, or Fashion-MNIST's files are missing.
    """
    for name, value, smallest in (
        ("count", count, 2),
        ("image_size", image_size, _SMALLEST),
        ("scene_seed", scene_seed, 0),
    ):
        if value < smallest:
            raise InputError(f"{name}: {value} given; allowed: {smallest} and more.")
    if count * image_size**2 > _MAX_BYTES:
        raise InputError(
            f"count: {count} given, of images of {image_size} x {image_size} pixels; allowed: up "
            f"to {_MAX_BYTES:,} bytes of images, which are all in memory."
        )
    items, parts = open_base(base)
    pools = {part: _by_class(items.labels, indices) for part, indices in parts.items()}
    images = np.zeros((count, image_size, image_size), np.uint8)
    labels = np.zeros((count, len(items.class_names)), np.uint8)
    is_test = np.arange(count) % _TEST_EVERY == 0
    scenes_of_part = {"train": np.flatnonzero(~is_test), "test": np.flatnonzero(is_test)}
    for part, numbers in scenes_of_part.items():
        for number in numbers.tolist():
            for placed in layout(pools[part], number, image_size, scene_seed):
                _paste(images[number], items.images(placed.item)[..., 0], placed)
                labels[number, items.labels[placed.item]] = 1
    return ArraySource(images, labels, items.class_names, scenes_of_part)


def open_base(base: str) -> tuple[ArraySource, Mapping[str, np.ndarray]]:
    """Opens the source of the items, and divides it between the parts of the scenes.

    Args:
      base: `embedded` or `fashion_mnist`.

    Returns:
      (source of the items, int64 indices of the items of the scenes by part: "train" and "test").

    Raises:
      InputError: `base` is neither, or Fashion-MNIST's files are missing.
    """
    if base not in _BASES:
        raise InputError(f"base: {base!r} given; allowed: {', '.join(_BASES)}.")
    if base == "fashion_mnist":
        items = idx.fashion_mnist()
        return items, items.parts
    # This is the split that single-label runs use by default, so that no item on which such a run
    # was trained is in a scene of "test".
    split = splits.embedded(idx.embedded(), seed=0)
    return split.source, {"train": split.train, "test": split.queries}


def layout(
    pool: Sequence[np.ndarray], number: int, image_size: int, scene_seed: int
) -> list[Placed]:
    """Draws the items of a scene, their sizes and their places.

    Args:
      pool: Items to draw from: int64 indices for each class.
      number: Number of the scene.
      image_size: Side of the canvas in pixels.
      scene_seed: Seed of the draws, as for `scenes`.

    Returns:
      The two to four items of the scene, each of another class.
    """
    rng = np.random.default_rng([scene_seed, number])
    items = rng.integers(_ITEMS[0], _ITEMS[1] + 1)
    classes = rng.choice(len(pool), items, replace=False)
    chosen = [int(rng.choice(pool[label])) for label in classes]
    # No side exceeds half of the canvas, so four items always fit. If some of them leave no place
    # for the next, all sizes and places are drawn again.
    while True:
        boxes = []
        for side in rng.integers(image_size * 5 // 14, image_size // 2 + 1, items):
            free = np.flatnonzero(_allowed(boxes, side, image_size))
            if not free.size:
                break
            corner = divmod(int(rng.choice(free)), int(image_size - side + 1))
            boxes.append((int(side), *corner))
        else:
            return [Placed(item, *box) for item, box in zip(chosen, boxes, strict=True)]


def _allowed(boxes: Sequence[tuple[int, int, int]], side: int, image_size: int) -> np.ndarray:
    """Marks the upper left corners that a new box may have.

    Args:
      boxes: Boxes in the scene, as (side, top, left).
      side: Side of the new box.
      image_size: Side of the canvas.

    Returns:
      bool [image_size - side + 1, image_size - side + 1].
    """
    corners = np.arange(image_size - side + 1)
    allowed = np.ones((len(corners), len(corners)), bool)
    for other_side, top, left in boxes:
        # Height and width of the overlap, for every row and every column of the new corner.
        height, width = (
            np.minimum(corners + side, start + other_side) - np.maximum(corners, start)
            for start in (top, left)
        )
        area = np.maximum(height, 0)[:, None] * np.maximum(width, 0)
        allowed &= area <= _OVERLAP * min(side, other_side) ** 2
    return allowed


def _paste(canvas: np.ndarray, item: np.ndarray, placed: Placed) -> None:
    """Draws an item, uint8 [28, 28], on a canvas in place."""
    _, side, top, left = placed
    if side != len(item):
        item = np.asarray(Image.fromarray(item).resize((side, side), Image.Resampling.BILINEAR))
    window = canvas[top : top + side, left : left + side]
    np.maximum(window, item, out=window)


def _by_class(labels: np.ndarray, indices: np.ndarray) -> list[np.ndarray]:
    """Divides indices by the class of their images."""
    return [indices[labels[indices] == label] for label in range(labels.max() + 1)]
