"""Scenes of several Fashion-MNIST items: a real multi-label data set that needs no download."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from jhash.data import idx, splits
from jhash.data.sources import Arrays
from jhash.errors import InputError

_BASES = ("embedded", "fashion_mnist")
_ITEMS = (2, 4)  # fewest and most items of a scene
_TEST_EVERY = 10  # Of so many scenes in a row the first belongs to the part "test".
# The largest share of the smaller of two items' boxes that the other may cover. Most items leave
# a part of their box empty, so that a quarter of the box hides little of what is in it.
_OVERLAP = 0.25
_SMALLEST = 28  # Side of a canvas; items get 10 to 14 pixels there, with fewer one sees nothing.


class Placed(NamedTuple):
    """An item of a scene: `item` of the base, resized to `side` pixels, and its upper left corner.

    Rows top to top + side - 1 and columns left to left + side - 1 are its box.
    """

    item: int
    side: int
    top: int
    left: int


def scenes(
    count: int = 10_000, image_size: int = 56, scene_seed: int = 0, base: str = "embedded"
) -> Arrays:
    """Grey images of two to four Fashion-MNIST items, each of another class.

    The labels are uint8 [N, 10], with a one for each item. Number of items, classes, items, sizes
    (5/14 to 1/2 of the canvas: 20 to 28 of 56 pixels) and places are uniform draws; boxes lie
    within the canvas and cover at most a quarter of each other. The larger of two grey values is
    the scene's, as the items' background is black.

    Scenes 0, 10, 20, ... are the part "test", the others "train", for the split `official`. The two
    are made of different items: of Fashion-MNIST's own parts, or, of the embedded images, of the
    1,000 queries and the 9,000 others of the split `embedded` with seed 0, whatever `scene_seed`
    is. Within a part an item may be in several scenes.

    Two scenes have a class in common with probability 0.68, which is about the MAP of a random
    order: judge what a method learns from there, not from 0.

    All scenes are made here and kept, 31 MB and some four seconds of one core for 10,000 by
    default: the labels need the draws at once, and images made when they are read would cost every
    epoch what they cost here once.
    Scene i depends on `scene_seed`, i, `image_size` and `base`, not on `count`.

    Args:
      count: Scenes, 2 or more, so that both parts have one.
      image_size: Height and width of the scenes in pixels, 28 or more.
      scene_seed: Seed of the draws, 0 or more (`seed` is the split's).
      base: Source of the items, `embedded` or `fashion_mnist` (its folder: see there).

    Raises:
      InputError: An argument is not as above, or Fashion-MNIST is not there.
    """
    for name, value, least in (
        ("count", count, 2),
        ("image_size", image_size, _SMALLEST),
        ("scene_seed", scene_seed, 0),
    ):
        if value < least:
            raise InputError(f"{name}: got {value}; must be {least} or more.")
    items, parts = open_base(base)
    pools = {part: _by_class(items.labels, indices) for part, indices in parts.items()}
    images = np.zeros((count, image_size, image_size), np.uint8)
    labels = np.zeros((count, len(items.class_names)), np.uint8)
    tests = np.arange(count) % _TEST_EVERY == 0
    of_part = {"train": np.flatnonzero(~tests), "test": np.flatnonzero(tests)}
    for part, numbers in of_part.items():
        for number in numbers.tolist():
            for placed in layout(pools[part], number, image_size, scene_seed):
                _paste(images[number], items.images(placed.item)[..., 0], placed)
                labels[number, items.labels[placed.item]] = 1
    return Arrays(images, labels, items.class_names, of_part)


def open_base(base: str) -> tuple[Arrays, Mapping[str, np.ndarray]]:
    """The items, and which of them the scenes of "train" and of "test" are made of.

    Args:
      base: `embedded` or `fashion_mnist`.

    Returns:
      (items, part -> int64 indices of its items).

    Raises:
      InputError: `base` is neither, or Fashion-MNIST is not there.
    """
    if base not in _BASES:
        raise InputError(f"base: got {base!r}; allowed are {', '.join(_BASES)}.")
    if base == "fashion_mnist":
        items = idx.fashion_mnist()
        return items, items.parts
    # Of the very split that single-label runs use by default: what such a run has trained on is in
    # no query scene.
    split = splits.embedded(idx.embedded(), seed=0)
    return split.source, {"train": split.train, "test": split.queries}


def layout(
    pool: Sequence[np.ndarray], number: int, image_size: int, scene_seed: int
) -> list[Placed]:
    """Draws the items of a scene, their sizes and their places.

    Args:
      pool: The items to draw from, int64 indices for each class.
      number: The scene's.
      image_size: Side of the canvas in pixels.
      scene_seed: As of `scenes`.

    Returns:
      An item for each of two to four classes.
    """
    rng = np.random.default_rng([scene_seed, number])
    items = rng.integers(_ITEMS[0], _ITEMS[1] + 1)
    classes = rng.choice(len(pool), items, replace=False)
    chosen = [int(rng.choice(pool[label])) for label in classes]
    # No side exceeds half the canvas, so that four items always fit; if the first ones leave the
    # next no place, all sizes and places are drawn again.
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
    """Where a box may have its corner: bool [image_size - side + 1, image_size - side + 1]."""
    corners = np.arange(image_size - side + 1)
    allowed = np.ones((len(corners), len(corners)), bool)
    for other, top, left in boxes:
        height, width = (
            np.maximum(np.minimum(corners + side, start + other) - np.maximum(corners, start), 0)
            for start in (top, left)
        )
        allowed &= height[:, None] * width <= _OVERLAP * min(side, other) ** 2
    return allowed


def _paste(canvas: np.ndarray, item: np.ndarray, placed: Placed) -> None:
    """Adds an item, uint8 [28, 28], to a canvas in place."""
    _, side, top, left = placed
    if side != len(item):
        item = np.asarray(Image.fromarray(item).resize((side, side), Image.Resampling.BILINEAR))
    window = canvas[top : top + side, left : left + side]
    np.maximum(window, item, out=window)


def _by_class(labels: np.ndarray, indices: np.ndarray) -> list[np.ndarray]:
    return [indices[labels[indices] == label] for label in range(labels.max() + 1)]
