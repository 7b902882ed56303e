"""Reads MATLAB files (.mat) of versions 5 to 7 that somebody else may have written.

SciPy's reader allocates what a file declares, inflates all that it holds, and follows cells inside
of cells until the stack of the process ends. This one reads what published weights are made of:
structs, cells, text and real numbers. All else is None.

References:
  MathWorks, MAT-File Format, the chapter on level 5.
"""

import math
import os
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from jhash.errors import InputError
from jhash.system import archives, reading

_HEADER = 128
_MAX_DEPTH = 16
_MAX_DIMENSIONS = 8
# More values than a file of weights has; each takes about a hundred bytes beside its content.
_MAX_VALUES = 2**20
# Types of elements.
_MATRIX, _COMPRESSED = 14, 15
_TEXTS = {2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_STORED = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8"},
    13: "u8",
}
# Classes of arrays.
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMBERS = {
    **{6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8"},
    15: "u8",
}
_OTHERS = (16, 17)  # Functions and objects, which are laid out in another way.
_COMPLEX = 0x0800


def read(path: str | os.PathLike) -> dict[str, Any]:
    """Reads all variables of a file.

    Returns:
      Values by name. A struct is a dict by field, an array of several structs a list of them, and a
      cell array a list, both in the order of columns. Text is a str, numbers are an array in the
      dtype of their class.

    Raises:
      InputError: The file cannot be read, is damaged or of another version, or holds more than is
        allowed. The message is only the reason, such as "it is cut off".
    """
    try:
        with reading.open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise InputError(f"it is not readable ({error.strerror})") from error
    if data[124:128] in (b"\0\2IM", b"\2\0MI"):
        raise InputError(
            "it is of MATLAB 7.3 (HDF5); save it again in MATLAB with "
            "save(file, '-struct', 'net', '-v7')"
        )
    orders = {b"\0\1IM": "<", b"\1\0MI": ">"}
    if data[124:128] not in orders:
        raise InputError("it is not readable (it does not begin like one of versions 5 to 7)")
    try:
        limit = archives.MAX_RATIO * len(data) + archives.FREE_BYTES
        return dict(_Reader(orders[data[124:128]], limit).variables(memoryview(data)[_HEADER:]))
    except (ValueError, TypeError, KeyError, UnicodeError, zlib.error) as error:
        raise InputError("it is not readable (it is cut off or damaged)") from error


class _Reader:
    """Reads the elements of one file; ValueError and the like mean that it is damaged."""

    def __init__(self, order: str, limit: int):
        """Takes the byte order, `<` or `>`, and the number of bytes that may be inflated."""
        self._order = order
        self._limit = limit
        self._values = _MAX_VALUES

    def variables(self, data: memoryview) -> Iterator[tuple[str, Any]]:
        """Yields (name, value) of the variables in the file."""
        for kind, content in self._elements(data):
            if kind == _COMPRESSED:  # It holds one array.
                kind, content = _next(self._elements(self._inflate(content)))
            if kind == _MATRIX:
                yield self._matrix(content, 1)

    def _inflate(self, content):
        inflater = zlib.decompressobj()
        inflated = inflater.decompress(content, self._limit + 1)
        self._limit -= len(inflated)
        if self._limit < 0:
            raise InputError(
                f"it inflates to more than {archives.MAX_RATIO} times its size and "
                f"{archives.FREE_BYTES:,} bytes"
            )
        if not inflater.eof:
            raise ValueError
        return memoryview(inflated)

    def _elements(self, data):
        """Yields (type, content) of the elements that follow one another."""
        start = 0
        while start < len(data):
            (tag,) = self._integers(data[start : start + 4], "u4")
            if tag >> 16:  # A small one, in 8 bytes.
                kind, size, content = tag & 0xFFFF, tag >> 16, data[start + 4 : start + 8]
                end = start + 8
            else:
                kind, (size,) = tag, self._integers(data[start + 4 : start + 8], "u4")
                content = data[start + 8 : start + 8 + size]
                # All elements but compressed ones are filled up to 8 bytes.
                end = start + 8 + size + (0 if kind == _COMPRESSED else -size % 8)
            if size > len(content):
                raise ValueError
            yield kind, content[:size]
            start = end

    def _integers(self, data, dtype):
        return np.frombuffer(data, self._order + dtype).tolist()

    def _matrix(self, data, depth):
        """Returns the name and the value of an array."""
        self._charge(1)
        if depth > _MAX_DEPTH:
            raise InputError(f"it has more than {_MAX_DEPTH} cells or structs in each other")
        if not data:
            return "", np.zeros((0, 0))
        parts = self._elements(data)
        flags, _ = self._integers(_next(parts)[1], "u4")
        if flags & 0xFF in _OTHERS:
            return "", None
        shape = tuple(self._integers(_next(parts)[1], "i4"))
        if not 0 < len(shape) <= _MAX_DIMENSIONS or min(shape) < 0:
            raise ValueError
        name = bytes(_next(parts)[1]).decode("latin-1")
        return name, self._value(flags, shape, parts, depth)

    def _value(self, flags, shape, parts, depth):
        count, kind = math.prod(shape), flags & 0xFF
        if kind == _CELL:
            self._charge(count)
            return [self._inner(parts, depth) for _ in range(count)]
        if kind == _STRUCT:
            return self._structs(count, parts, depth)
        if kind == _CHAR:
            stored, content = next(parts, (2, b""))
            encoding = _TEXTS[stored]
            ending = {"<": "-le", ">": "-be"}[self._order] if encoding[-2:] in ("16", "32") else ""
            return bytes(content).decode(encoding + ending)
        if kind in _NUMBERS and not flags & _COMPLEX:
            stored, content = _next(parts)
            array = np.frombuffer(content, self._order + _STORED[stored])
            return array.astype(_NUMBERS[kind]).reshape(shape, order="F")
        return None

    def _structs(self, count, parts, depth):
        (length,) = self._integers(_next(parts)[1], "i4")
        names = bytes(_next(parts)[1])
        if length < 1:
            raise ValueError
        fields = [
            names[start : start + length].split(b"\0")[0].decode("latin-1")
            for start in range(0, len(names), length)
        ]
        self._charge(count * (len(fields) + 1))
        structs = [{field: self._inner(parts, depth) for field in fields} for _ in range(count)]
        return structs[0] if count == 1 else structs

    def _inner(self, parts, depth):
        """Returns the value of the next array in a cell or a struct."""
        kind, content = _next(parts)
        if kind != _MATRIX:
            raise ValueError
        return self._matrix(content, depth + 1)[1]

    def _charge(self, count):
        """Counts values, before there is memory for them."""
        self._values -= count
        if self._values < 0:
            raise InputError(f"it has more than {_MAX_VALUES:,} values")


def _next(parts):
    """Returns the next element; raises ValueError if there is none."""
    for part in parts:
        return part
    raise ValueError
