"""Data sets of TensorFlow Datasets (TFDS), read by index and without TensorFlow.

The folder of a prepared data set may come from somebody else. TFDS would import the modules that
its `features.json` names, and decode all of its images with all that Pillow knows. So here it
imports no module but its own, and decodes nothing but labels.
"""

import contextlib
import importlib.util
import os
import pathlib
import re
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np

from jhash.data import decoding, sources
from jhash.data.kept_images import KeptImages
from jhash.data.pixels import Reading
from jhash.errors import InputError
from jhash.system import text

_BLOCK = 1024  # number of records read at once while labels are collected
_PROBE_SECONDS = 3.0
# Host at which TFDS keeps the descriptions of its data sets.
_TFDS_HOST = "https://storage.googleapis.com"
# A name, perhaps a config, perhaps a version. TFDS also takes arguments for the code of a builder,
# and namespaces, for which it fetches code of others.
_NAME = re.compile(r"\w+(/[\w.+-]+)?(:[\d.*]+)?", re.ASCII)
_MAX_CLASSES = 10**6
_lock = threading.Lock()  # Held while a function of TFDS is replaced.


class TfdsSource:
    """A data set of TFDS that was prepared in a random-access format, such as array_record.

    All labels are read at the start. TFDS keeps a label in one record with its image, so that all
    records are read, but nothing of them is parsed or decoded but the label. Images are read and
    decoded by a thread pool when `images` is called, and stay in memory while they fit;
    see `kept_images`. Every part of the data set becomes an official part under its name in TFDS,
    except parts without labels (class id -1).

    Args:
      name: Name as TFDS writes it: `cifar10`, `coco/2017`, `cifar10:3.0.2`.
      data_dir: Folder of prepared data sets; by default that of TFDS (TFDS_DATA_DIR, else
        ~/tensorflow_datasets).
      image_size: Side in pixels to which every image is resized on the host; required when the
        images differ in size.
      image_key: Feature that holds the image; by default the only image feature.
      label_key: Feature that holds a class label or a sequence of them, with slashes into nested
        features (`objects/label` for COCO); by default the supervised one.
      resize: "stretch", "crop" or "pad"; see `pixels.Reading`.

    Raises:
      InputError: The data set is unknown or cannot be prepared here (the message says what to
        do), its files are damaged or name modules that TFDS would import, or its features are not
        an image and class labels.
    """

    def __init__(
        self,
        name: str,
        data_dir: str | os.PathLike | None = None,
        image_size: int | None = None,
        image_key: str | None = None,
        label_key: str | None = None,
        resize: str = "stretch",
    ):
        """See the class."""
        builder = _prepared_builder(name, data_dir)
        info = builder.info
        if image_size is not None and not 1 <= image_size <= decoding.MAX_SIDE:
            raise InputError(
                f"image_size: {image_size} given; allowed: 1 to {decoding.MAX_SIDE:,}."
            )
        self._image_key = _image_feature(info.features, image_key)
        if label_key is None and not info.supervised_keys:
            raise InputError(
                f"label_key: None given, while tfds:{name} names no label feature itself; allowed: "
                f"{', '.join(sorted(info.features))} (objects/label goes into nested features)."
            )
        label_path = (label_key or info.supervised_keys[1]).split("/")
        self.class_names, multi_label = _label_feature(info.features, label_path)

        self._records = []  # of each part
        self.parts = {}
        labels = []
        start = 0
        classes = len(self.class_names)
        for part in info.splits:
            with _errors_of(name, builder.data_path):
                records = _records(builder, part)
                values = _read_labels(builder, part, label_path, classes, multi_label)
            if len(values) == 0 or (values.ndim == 1 and values.min() < 0):
                continue
            self._records.append(records)
            labels.append(values)
            self.parts[part] = np.arange(start, start + len(values))
            start += len(values)
        if not labels:
            raise InputError(
                f"name: tfds:{name} given, which has no labeled images; allowed: data sets with "
                "labels."
            )
        self.labels = sources.as_labels(np.concatenate(labels))
        self._starts = np.cumsum([0] + [len(records) for records in self._records])
        self._name = name
        feature = info.features[self._image_key]
        self.image_shape = _image_shape(self._image_key, feature, image_size)
        self._reading = Reading(resize)
        self.kept = KeptImages(len(self), self.image_shape, self._decode)

    def __len__(self) -> int:
        """Returns the number of images in all labeled parts."""
        return int(self._starts[-1])

    def images(self, indices: np.ndarray) -> np.ndarray:
        """See `Source.images`."""
        indices = np.asarray(indices)
        if indices.size and (indices.min() < 0 or indices.max() >= len(self)):
            raise IndexError(
                f"indices: {indices.min()} to {indices.max()} given; allowed: 0 to {len(self) - 1}."
            )
        return self.kept.read(indices)

    def _decode(self, indices: np.ndarray) -> np.ndarray:
        return decoding.decode_images(*self._encoded(indices), self.image_shape, self._reading)

    def unreadable(self, indices: np.ndarray) -> list[str | None]:
        """See `usable.examine`."""
        return decoding.find_errors(*self._encoded(indices), self.image_shape)

    def _encoded(self, indices: np.ndarray) -> tuple[list[bytes], list[str]]:
        """Reads the encoded images at `indices`, and makes their names for messages."""
        encoded: list[bytes] = [b""] * len(indices)
        # Each part reads its own records at once. `slots` are the places of the batch that they
        # fill, as the indices may come in any order.
        part_of_slot = np.searchsorted(self._starts, indices, side="right") - 1
        for part in np.unique(part_of_slot):
            (slots,) = np.nonzero(part_of_slot == part)
            in_part = (indices[slots] - self._starts[part]).tolist()
            records = self._records[part].__getitems__(in_part)
            for slot, record in zip(slots, records, strict=True):
                encoded[slot] = record[self._image_key]
        return encoded, [f"{index} of tfds:{self._name}" for index in indices]


def _prepared_builder(name: str, data_dir: str | os.PathLike | None) -> Any:
    """Finds a prepared data set, or prepares it if TensorFlow is installed and the network up.

    Args:
      name: Name as TFDS writes it.
      data_dir: Folder of prepared data sets; None for that of TFDS.

    Returns:
      The builder of TFDS.

    Raises:
      InputError: The data set is neither prepared in a random-access format nor can be.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"name: {f'tfds:{name}'!r} given; allowed: NAME, NAME/CONFIG and NAME:VERSION of a "
            "data set of TFDS, such as tfds:cifar10."
        )
    try:
        import tensorflow_datasets as tfds  # Takes a while, and only this source needs it.
    except ImportError as error:
        raise InputError(
            f"name: tfds:{name} given; allowed: only with tensorflow-datasets, so pip install "
            f"-e '.[tfds]'. ({error})"
        ) from error
    not_found = tfds.core.registered.DatasetNotFoundError
    where = {} if data_dir is None else {"data_dir": os.fspath(pathlib.Path(data_dir).expanduser())}
    # This needs the prepared files alone. Many builders cannot be constructed without TensorFlow.
    try:
        with _errors_of(name, where.get("data_dir", "its folder"), not_found), _no_imports(tfds):
            builder = tfds.core.read_only_builder.builder_from_files(name, **where)
        return _random_access(name, builder)
    except not_found:
        pass
    build = f"tfds build {name} --file_format=array_record" + "".join(
        f" --data_dir={folder}" for folder in where.values()
    )
    advice = (
        f"To prepare it, on a machine with network: pip install -e '.[tfds]', then {build}; copy "
        f"the folder here if needed and name its parent in the option data_dir."
    )
    refused = (
        f"name: tfds:{name} given, which is not prepared under "
        f"{where.get('data_dir', 'the data_dir of TFDS')}; allowed: prepared data sets only, as"
    )
    try:
        tfds.builder_cls(re.split("[/:]", name)[0])
    except not_found as error:
        raise InputError(f"{refused} TFDS has no builder of this name.") from error
    if importlib.util.find_spec("tensorflow") is None:
        raise InputError(f"{refused} preparing needs TensorFlow, which is missing. {advice}")
    # The host is tried before the builder is made, which reads its description there, with retries.
    if not _reachable(_TFDS_HOST):
        raise InputError(f"{refused} {_TFDS_HOST} does not answer. {advice}")
    try:
        builder = tfds.builder(name, try_gcs=False, file_format="array_record", **where)
        if builder.info.homepage and not _reachable(builder.info.homepage):
            raise InputError(f"{refused} {builder.info.homepage} does not answer. {advice}")
        builder.download_and_prepare()
    except InputError:
        raise
    except Exception as error:  # The code of a data set may raise anything.
        raise InputError(
            f"{refused} preparing it failed: {_first_line(error)}. {advice}"
        ) from error
    return builder


@contextlib.contextmanager
def _no_imports(tfds: Any) -> Iterator[None]:
    """Makes TFDS refuse features that are of no module of its own and of none imported before.

    A data set says in `features.json` of which class each feature is.
    """
    connector = tfds.features.FeatureConnector
    original = vars(connector)["cls_from_name"]

    def cls_from_name(class_name: str) -> Any:
        module = class_name.rpartition(".")[0]
        if not class_name.startswith("tensorflow_datasets.") and module not in sys.modules:
            raise InputError(
                f"a feature is of the class {text.shortened(class_name)}, which is neither of TFDS "
                "nor of a module that your config imports"
            )
        return original.__get__(None, connector)(class_name)

    with _lock:
        connector.cls_from_name = staticmethod(cls_from_name)
        try:
            yield
        finally:
            connector.cls_from_name = original


@contextlib.contextmanager
def _errors_of(name: str, folder: str | os.PathLike, *passed: type[Exception]) -> Iterator[None]:
    """Turns what TFDS raises for damaged files into an InputError; passes on some exceptions."""
    try:
        yield
    except passed:
        raise
    except Exception as error:  # TFDS and the libraries below it raise a dozen kinds.
        raise InputError(
            f"name: tfds:{name} given, whose files in {folder} cannot be read: "
            f"{_first_line(error)}; allowed: whole data sets, as TFDS prepares them."
        ) from error


def _first_line(error: Exception) -> str:
    """Returns the beginning of an error of TFDS, which may have pages of advice."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return text.shortened(lines[0].rstrip(".:"), 300)


def _random_access(name: str, builder: Any) -> Any:
    """Returns the builder if its files can be read by index, else refuses it."""
    formats = {entry.value for entry in builder.info.available_file_formats()}
    if not formats & {"array_record", "parquet"}:
        raise InputError(
            f"name: tfds:{name} given, which is prepared in {builder.data_path} as "
            f"{', '.join(sorted(formats))}; allowed: array_record and parquet, which can be read "
            "by index. Prepare it again with --file_format=array_record, in a data_dir of its own."
        )
    return builder


def _reachable(url: str, seconds: float = _PROBE_SECONDS) -> bool:
    """Returns True if any answer comes within `seconds`, without the retries of TFDS."""
    answered = threading.Event()

    def probe() -> None:
        try:
            with urllib.request.urlopen(url, timeout=seconds):
                answered.set()
        except urllib.error.HTTPError:  # A refusal is an answer.
            answered.set()
        except (OSError, ValueError):
            pass

    # In a thread, as the timeout of `urlopen` does not cover the look-up of the host's name.
    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()


def _image_feature(features: Any, key: str | None) -> str:
    """Returns the name of the image feature: `key`, or that of the only one."""
    images = [name for name, feature in features.items() if type(feature).__name__ == "Image"]
    if key is None and len(images) == 1:
        return images[0]
    if key not in images:
        raise InputError(
            f"image_key: {key!r} given; allowed: the features that are images, "
            f"{', '.join(images) or 'of which there are none'}."
        )
    return key


def _image_shape(key: str, feature: Any, image_size: int | None) -> tuple[int, int, int]:
    """Returns the shape of the source's images: that of the feature, or with `image_size`."""
    height, width, channels = feature.shape
    if channels not in (1, 3) or feature.np_dtype != np.uint8:
        raise InputError(
            f"image_key: {key!r} given, of {np.dtype(feature.np_dtype)} images with {channels} "
            "channels; allowed: uint8 with 1 or 3."
        )
    if image_size is not None:
        return (image_size, image_size, channels)
    if None not in (height, width) and height * width > decoding.MAX_PIXELS:
        raise InputError(
            f"image_key: {key!r} given, of images of {height} x {width} pixels; allowed: up to "
            f"{decoding.MAX_PIXELS:,} pixels."
        )
    if None in (height, width):
        raise InputError(
            "image_size: None given for images of different sizes; allowed: 1 and more."
        )
    return (height, width, channels)


def _label_feature(features: Any, path: list[str]) -> tuple[tuple[str, ...], bool]:
    """Returns the class names, and True if an image has a sequence of labels."""
    feature = features
    multi_label = False
    try:
        for key in path:
            feature = feature[key]
            if type(feature).__name__ == "Sequence":
                multi_label = True
                feature = feature.feature
        if feature.num_classes > _MAX_CLASSES:
            raise InputError(
                f"label_key: {'/'.join(path)!r} given, with {feature.num_classes} classes; "
                f"allowed: up to {_MAX_CLASSES:,}."
            )
        return tuple(feature.names), multi_label
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"label_key: {'/'.join(path)!r} given; allowed: class labels, among the features "
            f"{', '.join(sorted(features))}."
        ) from error


def _records(builder: Any, part: str) -> Any:
    """Opens the records of a part; nothing is decoded, and images stay encoded bytes."""
    return builder.as_data_source(part, decoders=_skipping(builder.info.features))


def _skipping(feature: Any) -> Any:
    """Makes decoders, nested like the features, that skip all of them."""
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.Sequence):
        return _skipping(feature.feature)
    if isinstance(feature, tfds.features.FeaturesDict):
        return {key: _skipping(part) for key, part in feature.items()}
    return _Skip()


def _alone(feature: Any, path: list[str]) -> Any:
    """Returns features with the one at `path` alone, nested as before."""
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.Sequence):
        return tfds.features.Sequence(_alone(feature.feature, path))
    if not path:
        return feature
    return tfds.features.FeaturesDict({path[0]: _alone(feature[path[0]], path[1:])})


class _Skip:
    """A decoder that leaves a feature as it is; that of TFDS cannot skip sequences in NumPy."""

    def setup(self, *, feature: Any) -> None:
        """Takes the feature, as every decoder of TFDS does."""

    def decode_example_np(self, example: Any) -> Any:
        """Returns what is stored."""
        return example

    decode_batch_example_np = decode_ragged_example_np = decode_example_np


def _read_labels(
    builder: Any, part: str, path: list[str], classes: int, multi_label: bool
) -> np.ndarray:
    """Reads the labels of a part: class ids [n], or rows [n, classes] if `multi_label`."""
    import tensorflow_datasets as tfds

    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    records = builder.as_data_source(part, deserialize_method=raw)
    label = _alone(builder.info.features, path)
    labels = np.zeros((len(records), classes) if multi_label else len(records), np.int64)
    for start in range(0, len(records), _BLOCK):
        block = range(start, min(start + _BLOCK, len(records)))
        for index, record in zip(block, records.__getitems__(list(block)), strict=True):
            value = label.deserialize_example_np(record)
            for key in path:
                value = value[key]
            ids = np.atleast_1d(value)
            # An image without a label has the class id -1.
            if ids.size and not (0 if multi_label else -1) <= ids.min() <= ids.max() < classes:
                raise InputError(f"labels from {ids.min()} to {ids.max()} of {classes} classes")
            # A sequence of ids sets several columns of the row; a single id is the label.
            if multi_label:
                labels[index, ids.astype(np.int64)] = 1
            else:
                labels[index] = value
    return labels
