"""Reading of NumPy archives (.npz) that somebody else may have written.

`numpy.load` allocates what a file declares and inflates what it holds: a file of a few kilobytes
can take gigabytes. Here sizes are compared with each other and with a limit before anything is
allocated, and headers are matched against a pattern rather than evaluated as Python.
"""

import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Collection

import numpy as np

from jhash.errors import InputError
from jhash.system import reading

# The arrays of an archive may have this many bytes for each byte of the file, and so many besides.
# Compression of arrays seldom exceeds the first number but for constant ones, which are small.
MAX_RATIO = 32
FREE_BYTES = 64 << 20

_MAX_DIMENSIONS = 8
_MAX_HEADER = 10_000  # Bytes, as numpy.load.
_CHUNK = 1 << 20
_HEADER = re.compile(
    r"\{'descr': ?(?P<descr>'[^']*'|\[.*\]), ?'fortran_order': ?(?P<order>True|False), ?"
    r"'shape': ?\((?P<shape>[0-9, L]*)\),? ?\} *\n?"
)
# Bool, integers, floating point and Unicode, in either byte order.
_DTYPE = re.compile(r"'([<>|=]?(?:b1|[iu][1248]|f[248]|U[0-9]{1,9}))'")
_MAGIC = b"PK\3\4"
_ENCRYPTED = 1
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, KeyError),
    *(NotImplementedError, OverflowError),
)


def read(path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Reads arrays of an archive; those of other names are not looked at.

    No more is allocated than MAX_RATIO times the size of the file and FREE_BYTES.

    Args:
      path: The file.
      names: Names of the arrays.

    Returns:
      Those of the arrays that the archive has, in the byte order of this machine.

    Raises:
      OSError: The file cannot be opened, or is no regular file.
      InputError: The file is damaged or no archive, or has more in it than is allowed, or one of
        the arrays holds something else than booleans, numbers or text. The message begins with the
        path.
    """
    with reading.open_regular(path) as file:
        limit = MAX_RATIO * os.fstat(file.fileno()).st_size + FREE_BYTES
        try:
            # Python reads archives behind anything else, too.
            if file.read(len(_MAGIC)) != _MAGIC:
                raise zipfile.BadZipFile
            with zipfile.ZipFile(file) as archive:
                members = _members(archive, names)
                _check_sizes(members, limit)
                return {name: _array(archive, *member) for name, member in members.items()}
        except _RefusedError as error:
            raise InputError(f"{path}: {error}") from error
        except (*_DAMAGED, OSError) as error:
            raise InputError(
                f"{path}: the file is no NumPy archive (.npz), or it is damaged."
            ) from error


class _RefusedError(Exception):
    """An archive that is whole, but not allowed; the message says why."""


def _members(archive, names):
    """Returns (name, entry) of the wanted arrays by name."""
    members = {}
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        if name not in names:
            continue
        if name in members:
            raise _RefusedError(f"the archive has two arrays {name}.")
        # Python's readers of other compressions do not stop at a limit.
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _RefusedError(
                f"{name}: an unusual compression given; allowed: that of numpy.savez."
            )
        if entry.flag_bits & _ENCRYPTED:
            raise _RefusedError(f"{name}: encrypted; allowed: as numpy.savez writes it.")
        members[name] = name, entry
    return members


def _check_sizes(members, limit):
    size = sum(entry.file_size for _, entry in members.values())
    if size > limit:
        raise _RefusedError(
            f"arrays of {size:,} bytes given; allowed: {limit:,}, which is {MAX_RATIO} times the "
            f"size of the file and {FREE_BYTES:,} besides. Write larger arrays by numpy.savez, "
            "which does not compress."
        )


def _array(archive, name, entry) -> np.ndarray:
    """Reads an array; a member that inflates to more than it declares is damaged."""
    with archive.open(entry) as member:
        dtype, order, shape, header_bytes = _parse_header(name, member)
        size = math.prod(shape) * dtype.itemsize
        if size != entry.file_size - header_bytes:
            raise ValueError("the size of an array is not that of its member")
        array = np.empty(math.prod(shape), dtype)
        buffer = memoryview(array.view(np.uint8)) if size else memoryview(b"")
        for start in range(0, size, _CHUNK):
            part = buffer[start : start + _CHUNK]
            if member.readinto(part) != len(part):
                raise EOFError
        if member.read(1):  # The checksum has been compared once the end was reached.
            raise ValueError("the member goes on")
    _check_values(name, array)
    array = array.astype(dtype.newbyteorder("="), copy=False)
    return array.reshape(shape, order=order)


def _parse_header(name, member):
    """Returns dtype, order, shape and size in bytes of the header of an array (.npy)."""
    magic = member.read(8)
    version = magic[6:]
    if magic[:6] != b"\x93NUMPY" or version not in (b"\1\0", b"\2\0", b"\3\0"):
        raise ValueError("a member is no array")
    length_bytes = 2 if version == b"\1\0" else 4
    length = int.from_bytes(member.read(length_bytes), "little")
    if length > _MAX_HEADER:
        raise ValueError("the header of an array is too long")
    text = member.read(length).decode("latin1")
    match = _HEADER.fullmatch(text)
    if len(text) != length or match is None:
        raise ValueError("a header that numpy.save does not write")
    dtype = _DTYPE.fullmatch(match["descr"])
    if dtype is None:
        kind = "Python objects (pickle)" if match["descr"] == "'|O'" else match["descr"][:40]
        raise _RefusedError(
            f"{name}: {kind} given; allowed: an array of integers, real numbers, "
            "booleans or strings."
        )
    sizes = [size.strip().removesuffix("L") for size in match["shape"].split(",") if size.strip()]
    if len(sizes) > _MAX_DIMENSIONS:
        raise ValueError("an array of many dimensions")
    order = "F" if match["order"] == "True" else "C"
    # A number of so many digits is refused by its size, without being made.
    shape = tuple(int(size) if len(size) < 20 else 1 << 64 for size in sizes)
    return np.dtype(dtype[1]), order, shape, 8 + length_bytes + length


def _check_values(name, array):
    """Refuses what NumPy reads but cannot handle: booleans above 1 and text that is no Unicode."""
    if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise ValueError("a boolean that is neither 0 nor 1")
    if array.dtype.kind == "U" and array.dtype.itemsize and array.size:
        code_points = array.view(array.dtype.byteorder.replace("|", "=") + "u4")
        surrogates = (code_points >= 0xD800) & (code_points < 0xE000)
        if code_points.max() > 0x10FFFF or surrogates.any():
            raise _RefusedError(f"{name}: text that is no Unicode given; allowed: Unicode text.")
