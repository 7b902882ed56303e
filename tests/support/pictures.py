"""Small images for tests of what is done to images."""

import numpy as np


def some_images(count, height, width, channels, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, height, width, channels), np.uint8)


def numbered(count, height, width, channels=1):
    """Images in which no two pixels are equal."""
    return np.arange(count * height * width * channels, dtype=np.float32).reshape(
        count, height, width, channels
    )
