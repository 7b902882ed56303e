"""The idx format of MNIST and Fashion-MNIST: a folder with a train and a t10k part."""

import gzip
import math
import os
import pathlib
import zlib

import numpy as np

from jhash.data.sources import Arrays
from jhash.errors import InputError

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


def embedded() -> Arrays:
    """The t10k part of Fashion-MNIST, shipped with jhash: 10,000 grey images of 28x28.

    Its part is called "test", as it is Fashion-MNIST's; `splits.embedded` divides it.
    """
    return idx(pathlib.Path(__file__).parent / "embedded", FASHION_MNIST_CLASSES)


def fashion_mnist(folder: str | os.PathLike | None = None) -> Arrays:
    """Fashion-MNIST, 60,000 + 10,000 grey images of 28x28.

    Args:
      folder: Where the four idx files lie; by default the environment variable
        JHASH_FASHION_MNIST, else the folder of Debian's package dataset-fashion-mnist.

    Raises:
      InputError: The folder does not hold both parts; the message says how to get them.
    """
    folder = folder or os.environ.get("JHASH_FASHION_MNIST") or "/usr/share/datasets/fashion-mnist"
    missing = [f"{prefix}-images-idx3-ubyte" for prefix in _PARTS if not _find(folder, prefix)]
    if missing:
        raise InputError(
            f"fashion_mnist: {folder} has no {' and no '.join(missing)} (.gz or not). Install "
            "Debian's package dataset-fashion-mnist, or put the four idx files of "
            "https://github.com/zalandoresearch/fashion-mnist into a folder and name it in the "
            "option folder or the environment variable JHASH_FASHION_MNIST."
        )
    return idx(folder, FASHION_MNIST_CLASSES)


def idx(folder: str | os.PathLike, class_names: tuple[str, ...] | None = None) -> Arrays:
    """Reads a folder in MNIST's layout, gzipped or not.

    Args:
      folder: Holds `train-images-idx3-ubyte` and `train-labels-idx1-ubyte` (part "train"), or the
        same two with `t10k` (part "test"), or all four.
      class_names: By default "0", "1", ....

    Raises:
      InputError: No part is there, or a file is damaged; the message names the file.
    """
    images, labels, parts, start = [], [], {}, 0
    for prefix, part in _PARTS.items():
        path = _find(folder, prefix)
        if path is None:
            continue
        images.append(read_idx(path, ndim=3))
        label_path = _find(folder, prefix, "labels-idx1")
        if label_path is None:
            raise InputError(f"idx: {folder} has {path.name} but no {prefix}-labels-idx1-ubyte.")
        labels.append(read_idx(label_path, ndim=1))
        if len(images[-1]) != len(labels[-1]):
            raise InputError(
                f"idx: {path} has {len(images[-1])} images, {label_path.name} {len(labels[-1])} "
                "labels."
            )
        if images[0].shape[1:] != images[-1].shape[1:]:
            raise InputError(
                f"idx: the images of {path} are {images[-1].shape[1:]}, those of the train part "
                f"{images[0].shape[1:]}."
            )
        parts[part] = np.arange(start, start + len(labels[-1]))
        start += len(labels[-1])
    if not parts:
        raise InputError(
            f"idx: {folder} has neither train-images-idx3-ubyte nor t10k-images-idx3-ubyte (.gz or "
            "not)."
        )
    return Arrays(np.concatenate(images), np.concatenate(labels), class_names, parts)


def read_idx(path: str | os.PathLike, ndim: int) -> np.ndarray:
    """Reads one idx file of unsigned bytes: uint8 with `ndim` dimensions.

    Raises:
      InputError: Another magic number, or more or fewer bytes than the header promises; the
        message names the file.
    """
    try:
        data = pathlib.Path(path).read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"idx file {path} cannot be read: {error}") from error
    header = 4 + 4 * ndim
    magic = bytes([0, 0, _UNSIGNED_BYTE, ndim])
    if data[:4] != magic:
        raise InputError(
            f"idx file {path} starts with {data[:4].hex()}; {magic.hex()} (unsigned bytes, {ndim} "
            "dimensions) is expected."
        )
    if len(data) < header:
        raise InputError(f"idx file {path} is truncated: it ends inside its header.")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", ndim, offset=4))
    expected = header + math.prod(shape)
    if len(data) != expected:
        what = "is truncated" if len(data) < expected else "has trailing bytes"
        raise InputError(
            f"idx file {path} {what}: {len(data)} bytes, but its dimensions "
            f"{'x'.join(map(str, shape))} take {expected}."
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


_PARTS = {"train": "train", "t10k": "test"}  # prefix of the files -> name of the part


def _find(
    folder: str | os.PathLike, prefix: str, suffix: str = "images-idx3"
) -> pathlib.Path | None:
    name = f"{prefix}-{suffix}-ubyte"
    candidates = (pathlib.Path(folder) / name, pathlib.Path(folder) / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)
