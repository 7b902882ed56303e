"""Data in which something is missing or all is alike; named by configs as a user's own are."""

import numpy as np

from jhash.data import ArraySource, Data

IMAGES = 48
QUERIES = 8


def source(images="noise", labels="four"):
    """48 images of 8 x 8 pixels.

    Args:
      images: "noise", or "gray" or "black", which are one image again and again.
      labels: "four" classes in turn; "one" class; "lone", of whose four classes one has a single
        image; or rows of 0/1: "rows" with at least one class, "alike" rows, or "empty" rows, of
        which every other has no class.
    """
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (IMAGES, 8, 8, 1), dtype=np.uint8)
    if images != "noise":
        pixels[:] = {"gray": 77, "black": 0}[images]
    ids = np.arange(IMAGES) % 4
    rows = np.eye(4, dtype=np.uint8)[ids]
    chosen = {
        "four": ids,
        "one": np.zeros(IMAGES, np.int64),
        "lone": np.where(np.arange(IMAGES) == 0, 3, np.arange(IMAGES) % 3),
        "rows": rows,
        "alike": np.tile(np.uint8([1, 0, 1, 0]), (IMAGES, 1)),
        "empty": rows * (np.arange(IMAGES) % 8 < 4)[:, None].astype(np.uint8),
    }
    return ArraySource(pixels, chosen[labels], [f"class {number}" for number in range(4)])


def split(source, seed):
    """The last eight images are queries, the others train and are searched."""
    del seed
    train = np.arange(IMAGES - QUERIES)
    return Data(source, train, train, np.arange(IMAGES - QUERIES, IMAGES))


def one_query(source, seed):
    """The last image is the query."""
    data = split(source, seed)
    return Data(source, data.train, data.database, data.queries[-1:])


def one_item(source, seed):
    """The database is a single image, the fourth, which is of the last query's class."""
    data = split(source, seed)
    return Data(source, data.train, data.train[3:4], data.queries)


def sixteen(source, seed):
    """As many images train as a batch has."""
    data = split(source, seed)
    return Data(source, data.train[:16], data.train, data.queries)
