"""Sources of images that are read by index: their interface, and sources in memory."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from jhash.errors import InputError


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

    @property
    def paths(self) -> Sequence[str] | None:
        """Paths of the images of the wrapped source, by index, if it knows them."""
        return getattr(self.source, "paths", None)

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
