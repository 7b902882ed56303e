"""Data sets of TensorFlow Datasets, read at random and without TensorFlow."""

import importlib.util
import os
import pathlib
import threading
import urllib.error
import urllib.request
from typing import Any

import numpy as np

from jhash.data import sources
from jhash.errors import InputError

_BLOCK = 1024  # records read at once while labels are collected
_PROBE_SECONDS = 3.0
# Where TFDS keeps the descriptions of its data sets.
_TFDS_HOST = "https://storage.googleapis.com"


class TfdsSource:
    """A data set of TFDS that was prepared in a random-access format, such as array_record.

    Labels are read at the start, without decoding images but with a pass over all records; images
    are decoded by a thread pool when they are asked for. Every part of the data set becomes an
    official part under TFDS's name, except parts without labels (class id -1).

    Args:
      name: As TFDS writes it: `cifar10`, `coco/2017`, `cifar10:3.0.2`.
      data_dir: Where prepared data sets lie; by default TFDS's own (TFDS_DATA_DIR, else
        ~/tensorflow_datasets).
      image_size: Side in pixels to which every image is resized on the host, ignoring the aspect
        ratio; required when the images differ in shape.
      image_key: The feature that holds the image; by default the only image feature.
      label_key: The feature that holds a class label or a sequence of them, with slashes into
        nested features (`objects/label` for COCO); by default the supervised one.

    Raises:
      InputError: The data set is unknown or cannot be prepared here (the message says what to
        do), or its features are not an image and class labels.
    """

    def __init__(
        self,
        name: str,
        data_dir: str | os.PathLike | None = None,
        image_size: int | None = None,
        image_key: str | None = None,
        label_key: str | None = None,
    ):
        """See the class."""
        builder = _prepared_builder(name, data_dir)
        info = builder.info
        if image_size is not None and image_size < 1:
            raise InputError(f"image_size: got {image_size}; must be 1 or more.")
        self._image_key = _image_feature(info.features, image_key)
        if label_key is None and not info.supervised_keys:
            raise InputError(
                f"tfds:{name} names no label feature; set the option label_key to one of "
                f"{', '.join(sorted(info.features))} (objects/label goes into nested features)."
            )
        label_path = (label_key or info.supervised_keys[1]).split("/")
        self.class_names, multi_label = _label_feature(info.features, label_path)

        self._parts, labels, self.parts, start = [], [], {}, 0
        for part in info.splits:
            records = _records(builder, part, self._image_key)
            values = _read_labels(records, label_path, multi_label and len(self.class_names))
            if len(values) == 0 or (values.ndim == 1 and values.min() < 0):
                continue
            self._parts.append(records)
            labels.append(values)
            self.parts[part] = np.arange(start, start + len(values))
            start += len(values)
        if not labels:
            raise InputError(f"tfds:{name} has no labelled images.")
        self.labels = sources.as_labels(np.concatenate(labels))
        self._starts = np.cumsum([0] + [len(records) for records in self._parts])
        self._name = name

        self.image_shape = _image_shape(name, info.features[self._image_key], image_size)

    def __len__(self) -> int:
        """The number of images in all labelled parts."""
        return int(self._starts[-1])

    def images(self, indices: np.ndarray) -> np.ndarray:
        """See `Source.images`."""
        indices = np.asarray(indices)
        if indices.size and (indices.min() < 0 or indices.max() >= len(self)):
            raise IndexError(f"indices {indices.min()} to {indices.max()} of {len(self)} images")
        encoded: list[bytes] = [b""] * len(indices)
        owners = np.searchsorted(self._starts, indices, side="right") - 1
        for owner in np.unique(owners):
            (slots,) = np.nonzero(owners == owner)
            records = self._parts[owner].__getitems__(
                (indices[slots] - self._starts[owner]).tolist()
            )
            for slot, record in zip(slots, records, strict=True):
                encoded[slot] = record[self._image_key]
        names = [f"{index} of tfds:{self._name}" for index in indices]
        return sources.decode_images(encoded, names, self.image_shape)


def _prepared_builder(name: str, data_dir: str | os.PathLike | None) -> Any:
    """Finds the prepared data set, or prepares it if TensorFlow and the network are there."""
    try:
        import tensorflow_datasets as tfds  # Takes a while and is needed by this source alone.
    except ImportError as error:
        raise InputError(
            f"tfds:{name} needs tensorflow-datasets: pip install 'jhash[tfds]'. ({error})"
        ) from error
    not_found = tfds.core.registered.DatasetNotFoundError
    where = {} if data_dir is None else {"data_dir": os.fspath(pathlib.Path(data_dir).expanduser())}
    # From the files alone: many builders cannot be constructed without TensorFlow, but their
    # prepared files can be read.
    try:
        return _random_access(name, tfds.core.read_only_builder.builder_from_files(name, **where))
    except not_found:
        pass
    build = f"tfds build {name} --file_format=array_record" + "".join(
        f" --data_dir={folder}" for folder in where.values()
    )
    advice = (
        f"To prepare it, on a machine with network: pip install 'jhash[tfds]', then {build}; copy "
        f"the folder here if needed and name its parent in the option data_dir."
    )
    here = f"tfds:{name} is not prepared under {where.get('data_dir', 'the data_dir of TFDS')}"
    try:
        tfds.builder_cls(name)
    except not_found as error:
        raise InputError(f"{here}, and TFDS has no builder of this name.") from error
    if importlib.util.find_spec("tensorflow") is None:
        raise InputError(f"{here}, and preparing needs TensorFlow, which is missing. {advice}")
    # Asked before the builder is made, which looks up its description there, and retries.
    if not _reachable(_TFDS_HOST):
        raise InputError(f"{here}, and {_TFDS_HOST} does not answer. {advice}")
    builder = tfds.builder(name, try_gcs=False, file_format="array_record", **where)
    if builder.info.homepage and not _reachable(builder.info.homepage):
        raise InputError(f"{here}, and {builder.info.homepage} does not answer. {advice}")
    try:
        builder.download_and_prepare()
    except (OSError, ImportError) as error:  # OSError: also whatever a download met
        raise InputError(f"{here}, and preparing it failed: {error}. {advice}") from error
    return builder


def _random_access(name: str, builder: Any) -> Any:
    formats = {entry.value for entry in builder.info.available_file_formats()}
    if not formats & {"array_record", "parquet"}:
        raise InputError(
            f"tfds:{name} is prepared in {builder.data_path} as {', '.join(sorted(formats))} and "
            "cannot be read at random; prepare it again with --file_format=array_record, in a "
            "data_dir of its own."
        )
    return builder


def _reachable(url: str, seconds: float = _PROBE_SECONDS) -> bool:
    """Whether any answer comes within `seconds`, which TFDS's own retries do not ask."""
    answered = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=seconds):
                answered.set()
        except urllib.error.HTTPError:  # A refusal is an answer.
            answered.set()
        except (OSError, ValueError):
            pass

    # A thread, because the timeout of urlopen does not cover the look-up of the host's name.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()


def _image_feature(features: Any, key: str | None) -> str:
    images = [name for name, feature in features.items() if type(feature).__name__ == "Image"]
    if key is None and len(images) == 1:
        return images[0]
    if key not in images:
        given = "needed, as there is not just one" if key is None else f"{key!r} is not an image"
        raise InputError(f"image_key: {given}; the images are {', '.join(images) or 'none'}.")
    return key


def _image_shape(name: str, feature: Any, image_size: int | None) -> tuple[int, int, int]:
    height, width, channels = feature.shape
    if channels not in (1, 3) or feature.np_dtype != np.uint8:
        raise InputError(
            f"tfds:{name} has {np.dtype(feature.np_dtype)} images with {channels} channels; "
            "allowed are uint8 with 1 or 3."
        )
    if image_size is not None:
        return (image_size, image_size, channels)
    if None in (height, width):
        raise InputError(f"tfds:{name} has images of different sizes; set the option image_size.")
    return (height, width, channels)


def _label_feature(features: Any, path: list[str]) -> tuple[tuple[str, ...], bool]:
    """The class names, and whether an image has a sequence of labels."""
    feature, multi_label = features, False
    try:
        for key in path:
            feature = feature[key]
            if type(feature).__name__ == "Sequence":
                multi_label = True
                feature = feature.feature
        return tuple(feature.names), multi_label
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"label_key: {'/'.join(path)!r} is not a class label; the features are "
            f"{', '.join(sorted(features))}."
        ) from error


def _records(builder: Any, part: str, image_key: str) -> Any:
    import tensorflow_datasets as tfds

    return builder.as_data_source(part, decoders={image_key: tfds.decode.SkipDecoding()})


def _read_labels(records: Any, path: list[str], classes: int) -> np.ndarray:
    """Class ids [n], or rows [n, classes] if `classes` is not 0."""
    labels = np.zeros((len(records), classes) if classes else len(records), np.int64)
    for start in range(0, len(records), _BLOCK):
        block = range(start, min(start + _BLOCK, len(records)))
        for index, value in zip(block, records.__getitems__(list(block)), strict=True):
            for key in path:
                value = value[key]
            # A sequence of ids sets several columns of the row; a single id is the label.
            if classes:
                labels[index, value] = 1
            else:
                labels[index] = value
    return labels
