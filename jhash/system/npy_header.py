"""The header of a NumPy array (.npy), matched against a pattern rather than evaluated as Python."""

import re
from typing import IO, NamedTuple

import numpy as np

_MAX_DIMENSIONS = 8
_MAX_BYTES = 10_000  # As numpy.load.
_MAGIC = b"\x93NUMPY"
# The bytes of the header's length, by version.
_LENGTH_BYTES = {b"\1\0": 2, b"\2\0": 4, b"\3\0": 4}
_HEADER = re.compile(
    r"\{'descr': ?(?P<descr>'[^']*'|\[.*\]), ?'fortran_order': ?(?P<order>True|False), ?"
    r"'shape': ?\((?P<shape>[0-9, L]*)\),? ?\} *\n?"
)
# Bool, integers, floating point and Unicode, in either byte order.
_DTYPE = re.compile(r"'([<>|=]?(?:b1|[iu][1248]|f[248]|U[0-9]{1,9}))'")


class ElementsError(ValueError):
    """The elements are neither booleans, numbers nor text; the message is what they are."""


class Header(NamedTuple):
    """What a header declares."""

    dtype: np.dtype
    order: str  # "C" or "F".
    shape: tuple[int, ...]
    size: int  # Bytes of the header itself, after which the first element follows.


def parse(file: IO[bytes]) -> Header:
    """Reads the header at the beginning of an array.

    Args:
      file: A file at the array's first byte.

    Returns:
      What the header declares. Nothing is compared with the size of the file.

    Raises:
      ElementsError: The elements are of another kind.
      ValueError: This is no header that `numpy.save` writes.
    """
    magic = file.read(8)
    length_bytes = _LENGTH_BYTES.get(magic[6:])
    if magic[:6] != _MAGIC or length_bytes is None:
        raise ValueError("this is no array")
    length = int.from_bytes(file.read(length_bytes), "little")
    if length > _MAX_BYTES:
        raise ValueError("the header of an array is too long")
    text = file.read(length).decode("latin1")
    match = _HEADER.fullmatch(text)
    if len(text) != length or match is None:
        raise ValueError("a header that numpy.save does not write")
    dtype = _DTYPE.fullmatch(match["descr"])
    if dtype is None:
        objects = match["descr"] == "'|O'"
        raise ElementsError("Python objects (pickle)" if objects else match["descr"][:40])
    sizes = [size.strip().removesuffix("L") for size in match["shape"].split(",") if size.strip()]
    if len(sizes) > _MAX_DIMENSIONS:
        raise ValueError("an array of many dimensions")
    # A number of so many digits is refused by its size, without being made.
    shape = tuple(int(size) if len(size) < 20 else 1 << 64 for size in sizes)
    order = "F" if match["order"] == "True" else "C"
    return Header(np.dtype(dtype[1]), order, shape, 8 + length_bytes + length)
