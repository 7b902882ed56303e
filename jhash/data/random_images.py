"""A source of random images with labels, to run a config whose data set is missing."""

import numpy as np

from jhash.data.sources import ArraySource
from jhash.errors import InputError

_COUNT, _CLASSES, _QUERIES = 64, 10, 16
_LARGEST = 10_000


def random_images(side: int = 28, channels: int = 1, multi_label: bool = False) -> ArraySource:
    """Makes 64 random images of ten classes: 48 are the part "train", 16 the part "test".

    The images are the same in every call with the same arguments.

    Args:
      side: Height and width of the images in pixels, 1 to 10,000.
      channels: Number of channels, 1 or 3.
      multi_label: Gives the labels as rows of 0/1 with one 1 each, in place of class ids.

    Raises:
      InputError: `side` or `channels` is not allowed.
    """
    if not 1 <= side <= _LARGEST:
        raise InputError(f"side: {side} given; allowed: 1 to {_LARGEST:,}.")
    if channels not in (1, 3):
        raise InputError(f"channels: {channels} given; allowed: 1 and 3.")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (_COUNT, side, side, channels), np.uint8)
    labels = np.arange(_COUNT, dtype=np.int32) % _CLASSES
    if multi_label:
        labels = np.eye(_CLASSES, dtype=np.uint8)[labels]
    train, test = np.split(np.arange(_COUNT), [_COUNT - _QUERIES])
    return ArraySource(images, labels, parts={"train": train, "test": test})
