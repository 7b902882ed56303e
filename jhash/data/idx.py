"""Sources in the idx format of MNIST and Fashion-MNIST: a folder with a train and a t10k part."""

import gzip
import math
import os
import pathlib
import zlib
from typing import BinaryIO

import numpy as np

from jhash.data.sources import ArraySource
from jhash.errors import InputError, in_config
from jhash.system import archives, reading

FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
_UNSIGNED_BYTE = 0x08  # the magic number's third byte: the type of the elements
_GZIP = b"\x1f\x8b"  # the first bytes of a gzipped file


def embedded() -> ArraySource:
    """Reads the t10k part of Fashion-MNIST, shipped with jhash: 10,000 gray images of 28x28.

    The source has the part "test" only, as Fashion-MNIST calls these images. `splits.embedded`
    divides it.
    """
    return idx(pathlib.Path(__file__).parent / "embedded", FASHION_MNIST_CLASSES)


def fashion_mnist(folder: str | os.PathLike | None = None) -> ArraySource:
    """Reads Fashion-MNIST, 60,000 and 10,000 gray images of 28x28.

    Args:
      folder: Folder of the four idx files. By default it is taken from the environment variable
        JHASH_FASHION_MNIST, else it is that of Debian's package dataset-fashion-mnist.

    Raises:
      InputError: The folder does not hold both parts; the message says how to get them.
    """
    folder = folder or os.environ.get("JHASH_FASHION_MNIST") or "/usr/share/datasets/fashion-mnist"
    missing = [f"{prefix}-images-idx3-ubyte" for prefix in _PARTS if not _find(folder, prefix)]
    if missing:
        raise InputError(
            f"folder: {folder} given, which has no {' and no '.join(missing)} (.gz or not); "
            "allowed: a folder with Fashion-MNIST's four idx files. Install Debian's package "
            "dataset-fashion-mnist, or put the files of "
            "https://github.com/zalandoresearch/fashion-mnist into a folder and name it in the "
            "option folder or the environment variable JHASH_FASHION_MNIST."
        )
    return idx(folder, FASHION_MNIST_CLASSES)


def idx(folder: str | os.PathLike, class_names: tuple[str, ...] | None = None) -> ArraySource:
    """Reads a folder in MNIST's layout, gzipped or not.

    Args:
      folder: Folder with `train-images-idx3-ubyte` and `train-labels-idx1-ubyte` (the part
        "train"), or the same two with `t10k` (the part "test"), or all four.
      class_names: Names of the classes; by default "0", "1", ....

    Raises:
      InputError: Both parts are missing, files do not fit each other, or a file is damaged; the
        message names the file.
    """
    images, labels = [], []
    parts = {}
    start = 0
    for prefix, part in _PARTS.items():
        path = _find(folder, prefix)
        if path is None:
            continue
        label_path = _find(folder, prefix, "labels-idx1")
        if label_path is None:
            raise InputError(
                f"folder: {folder} given, which has {path.name} but no "
                f"{prefix}-labels-idx1-ubyte; allowed: folders with both."
            )
        with in_config({"path": "folder"}):  # The argument here.
            images.append(read_idx(path, ndim=3))
            labels.append(read_idx(label_path, ndim=1))
        if len(images[-1]) != len(labels[-1]):
            raise InputError(
                f"folder: {folder} given, where {path.name} has {len(images[-1])} images, "
                f"{label_path.name} {len(labels[-1])} labels; allowed: one label per image."
            )
        if images[0].shape[1:] != images[-1].shape[1:]:
            raise InputError(
                f"folder: {folder} given, where the images of {path.name} are "
                f"{images[-1].shape[1:]}, those of the train part {images[0].shape[1:]}; allowed: "
                "one size."
            )
        parts[part] = np.arange(start, start + len(labels[-1]))
        start += len(labels[-1])
    if not parts:
        raise InputError(
            f"folder: {folder} given, which has neither train-images-idx3-ubyte nor "
            "t10k-images-idx3-ubyte; allowed: folders with one of them or both, .gz or not."
        )
    return ArraySource(np.concatenate(images), np.concatenate(labels), class_names, parts)


def read_idx(path: str | os.PathLike, ndim: int) -> np.ndarray:
    """Reads one idx file of unsigned bytes, gzipped or not.

    A gzipped file is inflated only as far as its header says, and if that is as much as a file of
    its size may hold (see `archives.MAX_RATIO`).

    Args:
      path: Path of the file.
      ndim: Number of dimensions that the file must have.

    Returns:
      uint8 with `ndim` dimensions.

    Raises:
      InputError: The file cannot be read, is of another type or number of dimensions, or has more
        or fewer bytes than its header says; the message names the file.
    """
    try:
        with reading.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(2) == _GZIP:
                file.seek(0)
                limit = archives.MAX_RATIO * size + archives.FREE_BYTES
                with gzip.GzipFile(fileobj=file) as inflated:
                    return _read(path, inflated, ndim, limit)
            file.seek(0)
            return _read(path, file, ndim, size)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"path: {path} given, which cannot be read: {error}; allowed: idx files, maybe gzipped."
        ) from error


def _read(path: str | os.PathLike, file: BinaryIO, ndim: int, limit: int) -> np.ndarray:
    """Reads an idx file that is open, if its header says that it has `limit` bytes or fewer."""
    magic = bytes([0, 0, _UNSIGNED_BYTE, ndim])
    header = file.read(len(magic) + 4 * ndim)
    if header[:4] != magic:
        raise InputError(
            f"path: {path} given, which starts with {header[:4].hex()}; allowed: idx files that "
            f"start with {magic.hex()} (unsigned bytes, {ndim} dimensions)."
        )
    if len(header) < 4 + 4 * ndim:
        raise InputError(
            f"path: {path} given, which is truncated: it ends inside its header; allowed: whole "
            "idx files."
        )
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4", ndim, offset=4))
    expected = len(header) + math.prod(shape)
    if 0 in shape:
        raise InputError(
            f"path: {path} given, whose dimensions are {_by(shape)}; allowed: 1 and more."
        )
    # The header may declare any number of bytes, so it is believed only up to the limit.
    content = file.read(math.prod(shape)) if expected <= limit else b""
    if len(content) < math.prod(shape):
        found = f"{len(header) + len(content)}" if expected <= limit else f"up to {limit}"
        raise InputError(
            f"path: {path} given, which is truncated: {found} bytes, but its dimensions "
            f"{_by(shape)} take {expected}; allowed: whole idx files."
        )
    if file.read(1):
        raise InputError(
            f"path: {path} given, which has trailing bytes: its dimensions {_by(shape)} take "
            f"{expected} bytes; allowed: whole idx files."
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


_PARTS = {"train": "train", "t10k": "test"}  # prefix of the files -> name of the part


def _find(
    folder: str | os.PathLike, prefix: str, suffix: str = "images-idx3"
) -> pathlib.Path | None:
    """Returns the path of an idx file, or None if the folder has it neither plain nor gzipped."""
    name = f"{prefix}-{suffix}-ubyte"
    candidates = (pathlib.Path(folder) / name, pathlib.Path(folder) / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)
