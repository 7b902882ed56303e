"""A network of features with weights in a file, as small as can be; named by configs of tests."""

import numpy as np
from flax import linen as nn

MEAN, SCALE = 100.0, 1 / 50
WIDTH = 12


class Pixels(nn.Module):
    """Random projections of the image, after a ReLU."""

    @nn.compact
    def __call__(self, x):
        return nn.relu(nn.Dense(WIDTH, name="projection")(x.reshape(len(x), -1)))


def published():
    """No file is needed: see `load`."""
    return "7"


def load(path):
    """Weights from a seed in place of a path, for 8 x 8 grey images."""
    rng = np.random.default_rng(int(path))
    kernel = rng.normal(size=(64, WIDTH)).astype(np.float32) / 8
    return {"projection": {"kernel": kernel, "bias": np.zeros(WIDTH, np.float32)}}


def brightness(images):
    """A function of images: the mean of each row of pixels."""
    return images.astype(np.float32).mean((2, 3)) / 255
