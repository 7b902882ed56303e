"""Sources of images that are read by index: their interface, sources in memory, image files."""

import dataclasses
import functools
import io
import os
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import Protocol

import numpy as np
from PIL import Image

from jhash.errors import InputError

_THREADS = 16  # Pillow decodes and resizes without the GIL, and reading waits for the disk.
_CHUNK = 256  # number of paths that one task of a thread checks
CHANNELS = {1: "L", 3: "RGB"}  # Pillow's modes by number of channels.
# Prefixes of Pillow's modes of 16 and 32 bits and of floats, which it would clip to 8 bits.
_WIDE_MODES = ("I", "F")


class Source(Protocol):
    """Images with labels, read by index. A class of your own needs no base class.

    Attributes:
      labels: int32 [N] class ids, or uint8 [N, C] in {0, 1} when an image may have several classes.
      class_names: Names of the C classes; "0", "1", ... when they are unknown.
      image_shape: (height, width, channels) of every image.
      parts: int64 indices of the official parts by name; empty when there are none.
    """

    labels: np.ndarray
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    parts: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        """Returns the number of images, N."""
        ...

    def images(self, indices: np.ndarray) -> np.ndarray:
        """Reads images, uint8 [B, H, W, channels], in the order of the int64 [B] `indices`."""
        ...


class ArraySource:
    """A source of images in memory.

    Args:
      images: uint8 [N, H, W, channels], or [N, H, W] for gray images.
      labels: Class ids from 0, integers [N], or rows of 0/1 [N, C].
      class_names: Names of the C classes; by default "0", "1", ....
      parts: Integer indices [n] of the official parts by name.

    Raises:
      InputError: A shape, dtype or value is not allowed.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        class_names: Sequence[str] | None = None,
        parts: Mapping[str, np.ndarray] | None = None,
    ):
        """See the class."""
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or 0 in images.shape[1:]:
            raise InputError(
                f"images: {images.dtype} {list(images.shape)} given; allowed: uint8 [N, H, W] and "
                "uint8 [N, H, W, channels]."
            )
        self._images = images[..., None] if images.ndim == 3 else images
        self.image_shape = self._images.shape[1:]
        self.labels = as_labels(labels)
        self.class_names = tuple(class_names) if class_names else number_names(self.labels)
        self.parts = {name: as_indices(name, part) for name, part in (parts or {}).items()}
        check_source(self)

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self._images)

    def images(self, indices: np.ndarray) -> np.ndarray:
        """See `Source.images`."""
        return self._images[indices]


@dataclasses.dataclass(frozen=True, eq=False)
class RelabeledSource:
    """A source with other labels in place of its own, such as a selection of label columns.

    Attributes:
      source: Source of the images and parts.
      labels: Labels of all images, as for `Source`.
      class_names: Names of the classes of `labels`.
    """

    source: Source
    labels: np.ndarray
    class_names: tuple[str, ...]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """The image shape of the wrapped source."""
        return self.source.image_shape

    @property
    def parts(self) -> Mapping[str, np.ndarray]:
        """The parts of the wrapped source."""
        return self.source.parts

    def __len__(self) -> int:
        """Returns the number of images of the wrapped source."""
        return len(self.source)

    def images(self, indices: np.ndarray) -> np.ndarray:
        """See `Source.images`."""
        return self.source.images(indices)


def as_labels(labels: np.ndarray) -> np.ndarray:
    """Casts labels to the dtypes of `Source`: class ids to int32, 0/1 rows to uint8.

    Raises:
      InputError: They are neither class ids from 0 in one dimension nor zeros and ones in two.
    """
    labels = np.asarray(labels)
    if labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer):
        if labels.size and labels.min() < 0:
            raise InputError(f"labels: class ids from {labels.min()} given; allowed: 0 and more.")
        return labels.astype(np.int32)
    if labels.ndim == 2 and ((labels == 0) | (labels == 1)).all():
        return labels.astype(np.uint8)
    raise InputError(
        f"labels: {labels.dtype} {list(labels.shape)} given; allowed: integer class ids [N], and "
        "zeros and ones [N, C]."
    )


def as_indices(name: str, indices: np.ndarray) -> np.ndarray:
    """Casts a one-dimensional integer array to int64.

    Raises:
      InputError: It is not one-dimensional or has no integers; the message calls it `name`.
    """
    indices = np.asarray(indices)
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        raise InputError(
            f"{name}: {indices.dtype} {list(indices.shape)} given; allowed: integers in one "
            "dimension."
        )
    return indices.astype(np.int64)


def number_names(labels: np.ndarray) -> tuple[str, ...]:
    """Returns the names "0", "1", ... for the classes of `labels`, [N] ids or [N, C]."""
    count = labels.shape[1] if labels.ndim == 2 else int(labels.max(initial=-1)) + 1
    return tuple(str(number) for number in range(count))


def check_source(source: Source) -> None:
    """Checks that a source, perhaps a user's own, is as `Source` says.

    Raises:
      InputError: It is not; the message names the attribute.
    """
    fields = ("labels", "class_names", "image_shape", "parts", "images", "__len__")
    missing = [field for field in fields if not hasattr(source, field)]
    if missing:
        raise InputError(
            f"source: a {type(source).__name__} given, which lacks {', '.join(missing)}; allowed: "
            f"objects with {', '.join(fields)}."
        )
    labels = source.labels
    if getattr(labels, "dtype", None) != as_labels(labels).dtype:
        given = getattr(labels, "dtype", type(labels).__name__)
        raise InputError(f"labels: {given} given; allowed: arrays int32 [N] and uint8 [N, C].")
    if len(labels) != len(source):
        raise InputError(
            f"labels: {len(labels)} labels for {len(source)} images given; allowed: one per image."
        )
    if len(source) == 0:
        raise InputError("source: no images given; allowed: 1 and more.")
    shape = source.image_shape
    if len(shape) != 3 or any(size < 1 for size in shape):
        raise InputError(
            f"image_shape: {shape} given; allowed: (height, width, channels), each 1 or more."
        )
    classes = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
    names = len(source.class_names)
    if classes > names or (labels.ndim == 2 and classes != names):
        raise InputError(
            f"class_names: {names} names for {classes} classes given; allowed: one per class."
        )
    for name, part in source.parts.items():
        field = f"parts[{name!r}]"
        check_indices(field, as_indices(field, part), len(source))


def check_indices(name: str, indices: np.ndarray, count: int) -> None:
    """Checks that `indices` has no duplicates and lies in [0, count).

    Raises:
      InputError: It does not; the message calls the set `name`.
    """
    if indices.size and (indices.min() < 0 or indices.max() >= count):
        raise InputError(
            f"{name}: indices from {indices.min()} to {indices.max()} given; allowed: 0 to "
            f"{count - 1}."
        )
    duplicates = indices.size - np.unique(indices).size
    if duplicates:
        raise InputError(
            f"{name}: {indices.size} indices with {duplicates} duplicates given; allowed: distinct "
            "indices."
        )


def decode_images(
    files: Sequence[str | bytes], names: Sequence[str], image_shape: tuple[int, int, int]
) -> np.ndarray:
    """Decodes image files in parallel, each as `decode_image` does.

    Args:
      files: Paths, or the contents of files.
      names: Name of each file in error messages.
      image_shape: (height, width, channels).

    Returns:
      uint8 [B, height, width, channels].

    Raises:
      InputError: A file cannot be read or decoded; the message gives its name.
    """
    decoded = np.empty((len(files), *image_shape), np.uint8)

    def decode(slot: int) -> None:
        decoded[slot] = decode_image(files[slot], names[slot], image_shape)

    list(_pool().map(decode, range(len(files))))  # `list` waits, and raises errors of threads.
    return decoded


def decode_image(file: str | bytes, name: str, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Decodes an image file to a given shape.

    An image of another size is resized bilinearly, with Pillow's antialiasing and regardless of its
    aspect ratio, as in the loaders of HashNet and DeepHash. Transparency and EXIF orientation are
    ignored.

    Args:
      file: Path, or the content of a file.
      name: Name of the file in error messages.
      image_shape: (height, width, channels); 1 channel converts to gray, 3 to RGB.

    Returns:
      uint8 [height, width, channels].

    Raises:
      InputError: The file cannot be read or decoded, or has gray values of more than 8 bits.
    """
    height, width, channels = image_shape
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as opened:
            if opened.mode.startswith(_WIDE_MODES):
                raise InputError(
                    f"its pixels are of more than 8 bits (Pillow's mode {opened.mode}); allowed: "
                    "8 bits. Convert it first, as only you know which range of values matters."
                )
            image = opened.convert(CHANNELS[channels])
    except Exception as error:  # A damaged file can raise nearly anything in a decoder.
        raise InputError(f"image {name} cannot be read: {error}") from error
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(image_shape)


def missing_files(paths: Sequence[str]) -> list[str]:
    """Returns the paths at which there is no file; checks them in parallel, for slow disks."""

    def check(start: int) -> list[str]:
        return [path for path in paths[start : start + _CHUNK] if not os.path.isfile(path)]

    chunks = _pool().map(check, range(0, len(paths), _CHUNK))
    return [path for chunk in chunks for path in chunk]


@functools.cache
def _pool() -> futures.ThreadPoolExecutor:
    return futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="jhash-images")
