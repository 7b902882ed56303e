"""Data that a program passes to a training, such as arrays of a notebook.

A config can only name data. So the config of such a run names the digest of what was passed: its
folder says that the config alone does not give the data, and whoever resumes or evaluates the run
has to pass the same.
"""

import hashlib
from typing import Any

import ml_collections
import numpy as np

from jhash import config_fields
from jhash.data.sources import ArraySource, check_source
from jhash.data.splits import Data
from jhash.errors import InputError

# What `config.data.source` begins with, before the digest, and `config.data.split`.
PREFIX = "in_memory:"
_SPLIT = "in_memory"
_BLOCK = 1024  # number of images that are read at once


def from_arrays(
    train: tuple[np.ndarray, np.ndarray],
    queries: tuple[np.ndarray, np.ndarray],
    database: tuple[np.ndarray, np.ndarray] | None = None,
    class_names: tuple[str, ...] | None = None,
) -> Data:
    """Makes the data of a run from arrays.

    Args:
      train: Images and labels of the training set. The images are uint8, 0 to 255, [N, H, W] or
        [N, H, W, channels]; the labels are class ids from 0, integers [N], or rows of 0/1 [N, C].
      queries: Images and labels of the query images, of the same shapes.
      database: Images and labels of the database; by default the training set is the database.
      class_names: Names of the C classes; by default "0", "1", ....

    Raises:
      InputError: A shape, dtype or value is not allowed, or a set is empty.
    """
    sets = {"train": train, "queries": queries}
    if database is not None:
        sets["database"] = database
    for name, pair in sets.items():
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(f"{name}: a {type(pair).__name__} given; allowed: (images, labels).")
    arrays = {name: tuple(map(np.asarray, pair)) for name, pair in sets.items()}
    for name, (images, labels) in arrays.items():
        first_images, first_labels = arrays["train"]
        same = images.shape[1:] == first_images.shape[1:] and images.dtype == first_images.dtype
        if not same or labels.shape[1:] != first_labels.shape[1:]:
            raise InputError(
                f"{name}: images {images.dtype} {list(images.shape)} and labels "
                f"{list(labels.shape)} given; allowed: those like train's, "
                f"{first_images.dtype} {list(first_images.shape)} and {list(first_labels.shape)}, "
                "in other numbers."
            )
        if len(images) != len(labels):
            raise InputError(
                f"{name}: {len(labels)} labels for {len(images)} images given; allowed: one per "
                "image."
            )
    images, labels = (np.concatenate(parts) for parts in zip(*arrays.values(), strict=True))
    ends = np.cumsum([len(labels) for _, labels in arrays.values()])
    places = dict(zip(arrays, np.split(np.arange(ends[-1]), ends[:-1]), strict=True))
    places.setdefault("database", places["train"])
    return Data(ArraySource(images, labels, class_names), **places)


def named(config: Any, data: Data) -> ml_collections.FrozenConfigDict:
    """Returns a config that names data by their digest, in place of the source that it named.

    Raises:
      InputError: The config lacks fields, what is given is no `Data`, or its source is not as
        `Source` says.
    """
    config_fields.check(config)
    changed = ml_collections.ConfigDict(config.to_dict())
    changed.data.source, changed.data.split = PREFIX + digest(data), _SPLIT
    with changed.ignore_type():
        changed.data.options = ml_collections.ConfigDict()
    return ml_collections.FrozenConfigDict(changed)


def check(config: Any, data: Data) -> None:
    """Checks that data are those of a run.

    Args:
      config: The fields of `config.data` of the run.
      data: What was passed.

    Raises:
      InputError: The run has others.
    """
    given = PREFIX + digest(data)
    if config.source != given:
        raise InputError(
            f"data: {given} given; allowed: the data of the run, of which config.data.source says "
            f"{config.source!r}."
        )


def missing(source: str) -> InputError:
    """Makes the error for a run whose data were passed by a program and are not passed now."""
    return InputError(
        f"source: {source!r} given, which stands for data that were in the memory of the program "
        "that trained the run; allowed: the same data, passed as data=... in Python, to "
        "jhash.train.train or jhash.evaluate.evaluate_workdir."
    )


def digest(data: Data) -> str:
    """Returns a digest of everything in the data, 16 hex digits; it reads every image once.

    Raises:
      InputError: What is given is no `Data`, or its source is not as `Source` says.
    """
    if not isinstance(data, Data):
        raise InputError(
            f"data: a {type(data).__name__} given; allowed: a jhash.data.Data, such as "
            "jhash.data.from_arrays makes of arrays."
        )
    source = data.source
    check_source(source)
    found = hashlib.sha256(repr((tuple(source.image_shape), tuple(source.class_names))).encode())
    for array in (source.labels, data.train, data.database, data.queries, data.validation):
        found.update(repr((array.dtype.str, array.shape)).encode())
        found.update(np.ascontiguousarray(array).tobytes())
    for start in range(0, len(source), _BLOCK):
        block = source.images(np.arange(start, min(start + _BLOCK, len(source))))
        found.update(np.ascontiguousarray(block).tobytes())
    return found.hexdigest()[:16]
