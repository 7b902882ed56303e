"""A data set and a config that train within seconds; named by configs as a user's own are."""

import numpy as np

from configs import fdah
from jhash.data import ArraySource, Data


def source(multi_label=False):
    """240 images of 8 x 8: four classes, each a bright quadrant in noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(240, dtype=np.int32) % 4
    images = rng.integers(0, 120, (240, 8, 8, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(label, 2)
        image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 100
    if multi_label:
        labels = np.eye(4, dtype=np.uint8)[labels]
        labels[::3, 0] = 1
    return ArraySource(images, labels)


def split(source, seed):
    """The last 40 ask, the others train and are searched."""
    del seed
    train = np.arange(200)
    return Data(source, train, train, np.arange(200, 240))


def get_config(argument=None):
    """FDAH on the tiny data; `argument` as for configs/fdah.py."""
    config = fdah.get_config(argument)
    config.bits = 12
    config.data.source, config.data.split = "tests.support.tiny.source", "tests.support.tiny.split"
    config.data.options = {"multi_label": False}
    config.model = {
        "name": "small_cnn.SmallCNN",
        "widths": (8,),
        "convolutions": (1,),
        "hidden": 16,
    }
    config.image.size, config.augment.pad = 8, 1
    config.augment.flip = False  # A mirrored quadrant is another class.
    config.method.queries = 80
    config.method.passes = 2
    config.epochs = 4
    config.batch_size = config.eval_batch_size = 16
    config.metrics.precision_ranks = (10,)
    config.log_every = 1
    return config
