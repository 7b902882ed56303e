"""Random images with labels: they show that a config runs where its data set is missing."""

import numpy as np

from jhash.data.sources import Arrays
from jhash.errors import InputError

_COUNT, _CLASSES, _QUERIES = 64, 10, 16


def random_images(side: int = 28, channels: int = 1, multi_label: bool = False) -> Arrays:
    """64 random images of ten classes, 48 of them the part "train" and 16 the part "test".

    Args:
      side: Height and width in pixels.
      channels: 1 or 3.
      multi_label: Give the labels as rows of 0/1 with one 1 each, in place of class ids.

    Raises:
      InputError: A number is not as above.
    """
    if side < 1:
        raise InputError(f"side: {side} given; allowed are 1 and more.")
    if channels not in (1, 3):
        raise InputError(f"channels: {channels} given; allowed are 1 and 3.")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_COUNT, side, side, channels), np.uint8)
    labels = np.arange(_COUNT, dtype=np.int32) % _CLASSES
    if multi_label:
        labels = np.eye(_CLASSES, dtype=np.uint8)[labels]
    train = np.arange(_COUNT - _QUERIES)
    return Arrays(images, labels, parts={"train": train, "test": np.arange(len(train), _COUNT)})
