"""Reading of NumPy archives (.npz) that somebody else may have written.

`numpy.load` allocates what a file declares and inflates what it holds: a file of a few kilobytes
can take gigabytes. Here sizes are compared with each other and with a limit before anything is
allocated.
"""

import math
import os
import struct
import zipfile
import zlib
from collections.abc import Collection

import numpy as np

from jhash.errors import InputError
from jhash.system import npy_header, reading

# The arrays of an archive may have this many bytes for each byte of the file, and so many besides.
# Compression of arrays seldom exceeds the first number but for constant ones, which are small.
MAX_RATIO = 32
FREE_BYTES = 64 << 20

_CHUNK = 1 << 20
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
        try:
            dtype, order, shape, header_bytes = npy_header.parse(member)
        except npy_header.ElementsError as error:
            raise _RefusedError(
                f"{name}: {error} given; allowed: an array of integers, real numbers, booleans or "
                "strings."
            ) from error
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


def _check_values(name, array):
    """Refuses what NumPy reads but cannot handle: booleans above 1 and text that is no Unicode."""
    if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
        raise ValueError("a boolean that is neither 0 nor 1")
    if array.dtype.kind == "U" and array.dtype.itemsize and array.size:
        code_points = array.view(array.dtype.byteorder.replace("|", "=") + "u4")
        surrogates = (code_points >= 0xD800) & (code_points < 0xE000)
        if code_points.max() > 0x10FFFF or surrogates.any():
            raise _RefusedError(f"{name}: text that is no Unicode given; allowed: Unicode text.")
