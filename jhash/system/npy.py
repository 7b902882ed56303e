"""NumPy arrays (.npy): those of others are read with care, one's own are written whole or not.

`numpy.load` allocates what a header declares, and a file that it maps into memory ends the process
if another one cuts the file off. Here the size is compared with that of the file first, and files
are read.

`numpy.save` lets C write to files, and does not look whether the last bytes arrived: on a full disk
it ends without an error.
"""

import math
import os
import types
from typing import BinaryIO

import numpy as np

from jhash.errors import InputError
from jhash.system import npy_header, reading, text

_KINDS = "biuf"  # Booleans, integers, floating point.


def shape(path: str | os.PathLike) -> tuple[int, ...]:
    """Reads the shape of an array.

    Raises:
      InputError: As for `read`.
    """
    with _open(path) as file:
        return _header(file, path).shape


def read(path: str | os.PathLike, rows: np.ndarray | None = None) -> np.ndarray:
    """Reads an array, or some of its rows.

    Args:
      path: File that `numpy.save` wrote.
      rows: Indices of the rows, int64 [n]; by default all of the array.

    Returns:
      The array or [n, ...], in the byte order of this machine.

    Raises:
      InputError: The file cannot be read, is damaged, or holds something else than numbers.
    """
    with _open(path) as file:
        header = _header(file, path)
        try:
            if rows is None or header.order == "F":
                array = _read_all(file, header)
                return array if rows is None else array[rows]
            return _read_rows(file, header, rows)
        except EOFError:
            raise _refusal(path, "it became shorter while it was read") from None
        except ValueError as error:  # Sizes whose product is 0 may still be too large for NumPy.
            raise _refusal(path, str(error)) from error


def write(file: BinaryIO, array: np.ndarray) -> None:
    """Writes an array as `numpy.save` does, through Python's own file.

    Args:
      file: The file.
      array: Numbers or text.

    Raises:
      OSError: Something was not written.
    """
    np.save(types.SimpleNamespace(write=file.write), array, allow_pickle=False)


def _open(path) -> BinaryIO:
    try:
        return reading.open_regular(path)
    except OSError as error:
        raise _refusal(path, error.strerror) from error


def _refusal(path, reason) -> InputError:
    return InputError(f"path: {path} given; allowed: .npy files of numbers, but {reason}.")


def _header(file: BinaryIO, path) -> npy_header.Header:
    """Reads the header of an array and checks it."""
    try:
        header = npy_header.parse(file)
    except npy_header.ElementsError as error:
        raise _refusal(path, f"its elements are {text.shortened(str(error))}") from error
    except ValueError as error:
        raise _refusal(path, "it does not begin like one") from error
    if header.dtype.kind not in _KINDS:
        raise _refusal(path, f"its elements are {header.dtype}")
    size = math.prod(header.shape) * header.dtype.itemsize
    found = os.fstat(file.fileno()).st_size - header.size
    if size > found:
        declared = f"{header.dtype} {text.shortened(str(list(header.shape)))}"
        raise _refusal(path, f"it has {found} bytes of the {size} that {declared} takes")
    return header


def _read_all(file: BinaryIO, header: npy_header.Header) -> np.ndarray:
    array = np.empty(math.prod(header.shape), header.dtype)
    _fill(file, array.view(np.uint8))
    return _native(array).reshape(header.shape, order=header.order)


def _read_rows(file: BinaryIO, header: npy_header.Header, rows: np.ndarray) -> np.ndarray:
    row_shape = header.shape[1:]
    row_bytes = math.prod(row_shape) * header.dtype.itemsize
    content = np.empty((len(rows), row_bytes), np.uint8)
    for place in np.argsort(rows, kind="stable"):
        file.seek(header.size + int(rows[place]) * row_bytes)
        _fill(file, content[place])
    return _native(content.view(header.dtype)).reshape(len(rows), *row_shape)


def _fill(file: BinaryIO, content: np.ndarray) -> None:
    """Fills bytes, uint8 [n], from a file; raises EOFError if it ends before."""
    if file.readinto(content) != content.size:
        raise EOFError


def _native(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("="), copy=False)
