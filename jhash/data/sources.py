"""Random-access image sources: the interface, images in memory, and what file sources share."""

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

_THREADS = 16  # Pillow decodes and resizes without the GIL; reading waits for the disk.
_CHUNK = 256  # paths checked by one task of a thread
CHANNELS = {1: "L", 3: "RGB"}  # Of image files: Pillow's modes.
# Pillow's modes of 16 and 32 bits and of floats, from which it would clip to 8 bits.
_WIDE_MODES = ("I", "F")


class Source(Protocol):
    """Images with labels, read by index; a class of your own needs no base class.

    Attributes:
      labels: int32 [N] class ids, or uint8 [N, C] in {0, 1} when an image may have several classes.
      class_names: C names; "0", "1", ... when they are unknown.
      image_shape: (height, width, channels) of every image.
      parts: The official parts, name -> int64 indices; empty when there are none.
    """

    labels: np.ndarray
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    parts: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        """The number of images, N."""
        ...

    def images(self, indices: np.ndarray) -> np.ndarray:
        """Reads the images at int64 [B] `indices`, in that order: uint8 [B, H, W, channels]."""
        ...


class Arrays:
    """Images that lie in memory.

    Args:
      images: uint8 [N, H, W, channels], or [N, H, W] for grey images.
      labels: integers [N] (class ids from 0) or 0/1 [N, C].
      class_names: C names; by default "0", "1", ....
      parts: Official parts, name -> integer indices [n].

    Raises:
      InputError: A shape, dtype or value is not as above.
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
                f"images: got {images.dtype} {list(images.shape)}; allowed are uint8 [N, H, W] and "
                "uint8 [N, H, W, channels]."
            )
        self._images = images[..., None] if images.ndim == 3 else images
        self.image_shape = self._images.shape[1:]
        self.labels = as_labels(labels)
        self.class_names = tuple(class_names) if class_names else number_names(self.labels)
        self.parts = {name: as_indices(name, part) for name, part in (parts or {}).items()}
        check_source(self)

    def __len__(self) -> int:
        """The number of images."""
        return len(self._images)

    def images(self, indices: np.ndarray) -> np.ndarray:
        """See `Source.images`."""
        return self._images[indices]


@dataclasses.dataclass(frozen=True, eq=False)
class Relabelled:
    """A source seen with other labels, such as a selection of its label columns."""

    source: Source
    labels: np.ndarray
    class_names: tuple[str, ...]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """As the wrapped source."""
        return self.source.image_shape

    @property
    def parts(self) -> Mapping[str, np.ndarray]:
        """As the wrapped source."""
        return self.source.parts

    def __len__(self) -> int:
        """As the wrapped source."""
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
            raise InputError(f"labels: class ids must be 0 or more; the least is {labels.min()}.")
        return labels.astype(np.int32)
    if labels.ndim == 2 and ((labels == 0) | (labels == 1)).all():
        return labels.astype(np.uint8)
    raise InputError(
        f"labels: got {labels.dtype} {list(labels.shape)}; allowed are integer class ids [N] and "
        "zeros and ones [N, classes]."
    )


def as_indices(name: str, indices: np.ndarray) -> np.ndarray:
    """Casts a one-dimensional integer array to int64.

    Raises:
      InputError: It is not one; the message names it as `name`.
    """
    indices = np.asarray(indices)
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        raise InputError(
            f"{name}: indices must be integers in one dimension; got {indices.dtype} "
            f"{list(indices.shape)}."
        )
    return indices.astype(np.int64)


def number_names(labels: np.ndarray) -> tuple[str, ...]:
    """Names "0", "1", ... for the classes of `labels`, [N] ids or [N, C]."""
    count = labels.shape[1] if labels.ndim == 2 else int(labels.max(initial=-1)) + 1
    return tuple(str(number) for number in range(count))


def check_source(source: Source) -> None:
    """Checks that a source, perhaps a user's own, keeps the promises of `Source`.

    Raises:
      InputError: Names the attribute that does not fit.
    """
    fields = ("labels", "class_names", "image_shape", "parts", "images", "__len__")
    missing = [field for field in fields if not hasattr(source, field)]
    if missing:
        raise InputError(
            f"source: a {type(source).__name__} lacks {', '.join(missing)}; a source has "
            f"{', '.join(fields)}."
        )
    labels = source.labels
    if getattr(labels, "dtype", None) != as_labels(labels).dtype:
        raise InputError("labels: must be an int32 [N] or a uint8 [N, classes] array.")
    if len(labels) != len(source):
        raise InputError(f"labels: {len(labels)} labels for {len(source)} images.")
    if len(source) == 0:
        raise InputError("source: it has no images.")
    shape = source.image_shape
    if len(shape) != 3 or any(size < 1 for size in shape):
        raise InputError(f"image_shape: got {shape}; must be (height, width, channels).")
    classes = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
    names = len(source.class_names)
    if classes > names or (labels.ndim == 2 and classes != names):
        raise InputError(f"class_names: {names} names for {classes} classes.")
    for name, part in source.parts.items():
        field = f"parts[{name!r}]"
        check_indices(field, as_indices(field, part), len(source))


def check_indices(name: str, indices: np.ndarray, count: int) -> None:
    """Checks that `indices` has no duplicates and lies in [0, count).

    Raises:
      InputError: Names the set as `name`.
    """
    if indices.size and (indices.min() < 0 or indices.max() >= count):
        raise InputError(
            f"{name}: indices from {indices.min()} to {indices.max()}; allowed are 0 to "
            f"{count - 1}."
        )
    duplicates = indices.size - np.unique(indices).size
    if duplicates:
        raise InputError(f"{name}: {duplicates} of {indices.size} indices are duplicates.")


def decode_images(
    files: Sequence[str | bytes], names: Sequence[str], image_shape: tuple[int, int, int]
) -> np.ndarray:
    """Decodes image files in parallel; see `decode_image`.

    Args:
      files: Paths, or the contents of files.
      names: What an error message calls each file.
      image_shape: (height, width, channels).

    Returns:
      uint8 [B, height, width, channels].

    Raises:
      InputError: A file cannot be read or decoded; the message gives its name.
    """
    decoded = np.empty((len(files), *image_shape), np.uint8)

    def decode(slot: int) -> None:
        decoded[slot] = decode_image(files[slot], names[slot], image_shape)

    list(_pool().map(decode, range(len(files))))  # list() passes errors on
    return decoded


def decode_image(file: str | bytes, name: str, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Decodes an image file to a shape.

    An image of another size is resized bilinearly, with Pillow's antialiasing and without regard
    to its aspect ratio, as HashNet's and DeepHash's loaders do. Transparency and EXIF orientation
    are ignored.

    Args:
      file: A path, or the content of a file.
      name: What an error message calls the file.
      image_shape: (height, width, channels); 1 channel converts to grey, 3 to RGB.

    Returns:
      uint8 [height, width, channels].

    Raises:
      InputError: The file cannot be read or decoded, or has grey values of more than 8 bits.
    """
    height, width, channels = image_shape
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as opened:
            if opened.mode.startswith(_WIDE_MODES):
                raise InputError(
                    f"its pixels are of more than 8 bits (Pillow's mode {opened.mode}); which of "
                    "their range matters is not known here, so convert it to 8 bits first."
                )
            image = opened.convert(CHANNELS[channels])
    except Exception as error:  # A damaged file can raise nearly anything in a decoder.
        raise InputError(f"image {name} cannot be read: {error}") from error
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(image_shape)


def missing_files(paths: Sequence[str]) -> list[str]:
    """The paths at which there is no file, checked in parallel (network disks answer slowly)."""

    def check(start: int) -> list[str]:
        return [path for path in paths[start : start + _CHUNK] if not os.path.isfile(path)]

    chunks = _pool().map(check, range(0, len(paths), _CHUNK))
    return [path for chunk in chunks for path in chunk]


@functools.cache
def _pool() -> futures.ThreadPoolExecutor:
    return futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="jhash-images")
