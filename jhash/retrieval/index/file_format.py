"""File format of an index; `docs/index_format.md` describes it for readers without jhash.

A file is a header of 128 bytes and four sections, each of which begins at the next multiple of 64
bytes: codes, ids, the offsets of the ids (if they are strings) and metadata. All numbers are
little-endian. Each byte is covered by a checksum or known to be zero, so that a file with any byte
damaged is refused.
"""

import itertools
import json
import os
import struct
import zlib
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.limits import MAX_BITS, WORD_BITS
from jhash.system import files, reading
from jhash.system import mapped as mapped_arrays

MAGIC = b"JHASHIDX"
VERSION = 1
# Behind the name of an index: the file of an encoder that was fitted to its images.
ENCODER_SUFFIX = ".encoder"
# Each section begins at a multiple of this.
_ALIGN = 64
# Magic, version and their checksum. All versions lay these bytes out alike, so that a newer file
# can be told from a damaged one.
_PREAMBLE = struct.Struct("<8sII")
_SHAPE = struct.Struct("<QII")  # Count, bits, kind of ids.
_SECTION = struct.Struct("<QQI")  # Offset, size, checksum.
_SECTIONS = ("codes", "ids", "id offsets", "metadata")
_HEADER_BYTES = 128
# Kinds of ids.
_INTEGERS = 0
_STRINGS = 1


class Content(NamedTuple):
    """The content of a file."""

    codes: np.ndarray  # Packed codes, uint32 [N, ceil(bits / 32)].
    bits: int  # Code length.
    ids: np.ndarray  # int64 [N], or an object array of N strings.
    metadata: dict  # A dict that JSON can hold.


def write(path: str, content: Content) -> None:
    """Writes a file that takes the place of `path` at once, or not at all.

    Args:
      path: Path of the file; its folder is made if it is missing.
      content: Content of the file.

    Raises:
      InputError: The file cannot be written, or JSON cannot hold the metadata.
    """
    metadata = encode_metadata(content.metadata)
    ids: bytes | np.ndarray
    offsets: bytes | np.ndarray
    if content.ids.dtype == object:
        kind = _STRINGS
        ids, offsets = _encode_strings(content.ids)
    else:
        kind = _INTEGERS
        ids = _bytes(content.ids, "<i8")
        offsets = b""
    sections: tuple[Any, ...] = (_bytes(content.codes, "<u4"), ids, offsets, metadata)
    header = _PREAMBLE.pack(MAGIC, VERSION, zlib.crc32(MAGIC + struct.pack("<I", VERSION)))
    header += _SHAPE.pack(len(content.codes), content.bits, kind)
    sizes = [len(section) for section in sections]
    for offset, size, section in zip(_offsets(sizes), sizes, sections, strict=True):
        header += _SECTION.pack(offset, size, zlib.crc32(section))
    header = header.ljust(_HEADER_BYTES - 4, b"\0")
    header += struct.pack("<I", zlib.crc32(header))
    try:
        with files.replacing(path, "wb") as file:
            for piece in (header, *sections):
                file.write(bytes(-file.tell() % _ALIGN))
                file.write(piece)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}.") from error


def read(path: str, mmap: bool = False) -> Content:
    """Reads a file into memory and checks it.

    The content is a copy: what happens to the file later, even that it is changed in place or cut
    off, changes nothing. With `mmap` that does not hold for codes and integer ids: they are read
    when they are used, and not checked.

    All sizes are compared with that of the file before memory is taken, no more than the size of
    codes, integer ids, and some 20 times that of strings and 64 times that of metadata.

    Args:
      path: Path of the file.
      mmap: Whether to map codes and integer ids into memory in place of a copy.

    Returns:
      The content.

    Raises:
      InputError: There is no such file, or it is truncated, extended, damaged, of another format
        or of another version, or does not fit into memory. The message begins with the path.
    """
    try:
        with reading.open_regular(path) as file:
            header = file.read(_HEADER_BYTES)
            _check_header(path, header)
            count, bits, kind, table = _parse_header(path, header)
            _check_size(path, os.fstat(file.fileno()).st_size, table)
            mapped = () if not mmap else ("codes", "ids") if kind == _INTEGERS else ("codes",)
            codes, ids, offsets, metadata = _read_sections(path, file, table, mapped)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    except MemoryError as error:
        raise InputError(f"{path}: cannot be read: it does not fit into memory.") from error
    codes = codes.view("<u4").reshape(count, -(-bits // WORD_BITS)).astype(np.uint32, copy=False)
    if kind == _INTEGERS:
        ids = ids.view("<i8").astype(np.int64, copy=False)
    else:
        ids = _decode_strings(path, ids.tobytes(), offsets.view("<i8"))
    return Content(codes, bits, ids, _decode_metadata(path, metadata.tobytes()))


def encode_metadata(metadata: dict) -> bytes:
    """Encodes the metadata of an index as JSON, in UTF-8.

    Raises:
      InputError: The metadata is not a dict that JSON can hold.
    """
    try:
        text = json.dumps(metadata, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"metadata: a value that JSON cannot hold given ({error}); allowed: a dict that JSON "
            "can hold."
        ) from error
    if not isinstance(metadata, dict):
        raise InputError(f"metadata: {type(metadata).__name__} given; allowed: a dict.")
    return text.encode()


def _decode_metadata(path: str, text: bytes) -> dict:
    try:
        metadata = reading.parse_json(text)
    except ValueError as error:
        raise _damaged(path, f"metadata is not JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise _damaged(path, "metadata is not a JSON object")
    return metadata


def _bytes(values: np.ndarray, dtype: str) -> np.ndarray:
    return np.ascontiguousarray(values, dtype).reshape(-1).view(np.uint8)


def _encode_strings(ids: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Returns the sections of string ids: all texts in a row, and N + 1 offsets.

    The offsets are 0, then the end of each text, so text i lies between the offsets i and i + 1.
    """
    encoded = [text.encode() for text in ids]
    offsets = np.zeros(len(ids) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    return b"".join(encoded), _bytes(offsets, "<i8")


def _decode_strings(path: str, data: bytes, offsets: np.ndarray) -> np.ndarray:
    bounds = offsets.tolist()
    ordered = all(start <= end for start, end in itertools.pairwise(bounds))
    if bounds[0] != 0 or bounds[-1] != len(data) or not ordered:
        raise _damaged(path, "the offsets do not fit the ids")
    ids = np.empty(len(bounds) - 1, object)
    try:
        ids[:] = [data[start:end].decode() for start, end in itertools.pairwise(bounds)]
    except UnicodeDecodeError as error:
        raise _damaged(path, "an id is not UTF-8") from error
    return ids


def _offsets(sizes: list[int]) -> list[int]:
    """Returns the offsets of sections that have these sizes."""
    offsets = []
    end = _HEADER_BYTES
    for size in sizes:
        offsets.append(-(-end // _ALIGN) * _ALIGN)
        end = offsets[-1] + size
    return offsets


def _check_header(path: str, header: bytes) -> None:
    """Checks magic, version, length and checksums of a header."""
    if header[: len(MAGIC)] != MAGIC:
        raise InputError(f"{path}: this is no index of jhash; those begin with {MAGIC.decode()}.")
    if len(header) < _PREAMBLE.size:
        raise InputError(f"{path}: the file is truncated: it has {len(header)} bytes.")
    _, version, checksum = _PREAMBLE.unpack_from(header)
    if zlib.crc32(header[: _PREAMBLE.size - 4]) != checksum:
        raise _damaged(path, "its header does not match its checksum")
    if version != VERSION:
        raise InputError(
            f"{path}: the file has format version {version}; this jhash reads version {VERSION}."
            + (" A newer jhash reads it." if version > VERSION else "")
        )
    if len(header) < _HEADER_BYTES:
        raise InputError(f"{path}: the file is truncated: it has {len(header)} bytes.")
    if zlib.crc32(header[:-4]) != int.from_bytes(header[-4:], "little"):
        raise _damaged(path, "its header does not match its checksum")


def _parse_header(path: str, header: bytes) -> tuple[int, int, int, list[tuple[int, int, int]]]:
    """Returns count, bits, kind of ids, and (offset, size, checksum) of each section, checked."""
    count, bits, kind = _SHAPE.unpack_from(header, _PREAMBLE.size)
    start = _PREAMBLE.size + _SHAPE.size
    table = [_SECTION.unpack_from(header, start + i * _SECTION.size) for i in range(len(_SECTIONS))]
    _check_layout(path, count, bits, kind, table)
    if any(header[start + len(_SECTIONS) * _SECTION.size : -4]):
        raise _damaged(path, "bytes of its header that are not in use are not zero")
    return count, bits, kind, table


def _check_layout(path, count, bits, kind, table) -> None:
    """Checks that the sections have the sizes and offsets which count, bits and kind demand."""
    if not 1 <= bits <= MAX_BITS or kind not in (_INTEGERS, _STRINGS):
        raise _damaged(path, f"its header names {bits} bits and ids of kind {kind}")
    sizes = [size for _, size, _ in table]
    _, ids_size, _, metadata_size = sizes
    expected = [
        count * -(-bits // WORD_BITS) * 4,
        count * 8 if kind == _INTEGERS else ids_size,
        0 if kind == _INTEGERS else (count + 1) * 8,
        metadata_size,
    ]
    if sizes != expected or [offset for offset, _, _ in table] != _offsets(sizes):
        raise _damaged(path, f"its sections do not fit {count} codes of {bits} bits")


def _check_size(path: str, file_size: int, table) -> None:
    """Checks that a file ends where its last section does."""
    offset, size, _ = table[-1]
    if file_size != offset + size:
        state = "truncated" if file_size < offset + size else "extended"
        raise InputError(
            f"{path}: the file is {state}: it has {file_size} bytes instead of {offset + size}."
        )


def _read_sections(path: str, file: BinaryIO, table, mapped) -> list[np.ndarray]:
    """Returns the bytes of each section, after a check of its checksum and the padding before.

    Those of the sections named in `mapped` are not read. A change of them does not reach the file.
    """
    sections = []
    end = _HEADER_BYTES
    for name, (offset, size, checksum) in zip(_SECTIONS, table, strict=True):
        if any(file.read(offset - end)):
            raise _damaged(path, f"bytes before its {name} are not zero")
        end = offset + size
        if name in mapped and size:
            sections.append(mapped_arrays.open_array(file, offset, size))
            file.seek(end)
            continue
        section = np.empty(size, np.uint8)
        if file.readinto(section) != size:  # type: ignore[attr-defined]
            raise InputError(f"{path}: the file is truncated: it was cut off while it was read.")
        if zlib.crc32(section.data) != checksum:
            raise _damaged(path, f"its {name} do not match their checksum")
        sections.append(section)
    if file.read(1):
        raise InputError(f"{path}: the file is extended: it grew while it was read.")
    return sections


def _damaged(path: str, damage: str) -> InputError:
    return InputError(f"{path}: the file is damaged: {damage}. Write the index again.")
