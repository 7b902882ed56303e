"""A table of ids beside an index: the index has integers, and the table the texts they stand for.

As strings in an index, ids are Python's objects in memory. In the table they stay in their file,
and only those that are asked for are read. The file has, little-endian:

    8 bytes       JHASHIDS
    uint32        version, 1
    uint32        CRC-32 of the other 28 bytes of the header
    uint64        number N of ids
    uint64        number of bytes of the texts
    int64 [N + 1] where each text begins, counted from the first one, and where the last one ends
    texts         in UTF-8, one behind the other, ascending
"""

import os
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.index.ids import some
from jhash.system import files, reading

_START = struct.Struct("<8sI")
_CHECKSUM = struct.Struct("<I")
_SIZES = struct.Struct("<QQ")
_HEADER_BYTES = _START.size + _CHECKSUM.size + _SIZES.size
_MAGIC = b"JHASHIDS"
_VERSION = 1
# Texts are encoded so many at a time.
_PIECE = 1 << 20


class IdTable:
    """The texts for which the integer ids of an index stand, in a file.

    The file is read when a text is asked for, and takes no memory. Several threads may read.

    Args:
      path: The file, which may be somebody else's.

    Raises:
      InputError: It cannot be read, is damaged, or is no table of ids; the message begins with the
        path.
    """

    def __init__(self, path: str):
        """See the class."""
        self._path = path
        try:
            self._file = reading.open_regular(path)
            header = os.pread(self._file.fileno(), _HEADER_BYTES, 0)
            size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
        start, sizes = header[: _START.size], header[-_SIZES.size :]
        if header[: len(_MAGIC)] != _MAGIC or len(header) < _HEADER_BYTES:
            raise InputError(f"{path}: another file given; allowed: a table of ids.")
        (checksum,) = _CHECKSUM.unpack_from(header, _START.size)
        if checksum != zlib.crc32(start + sizes):
            raise self._damaged()
        version = _START.unpack(start)[1]
        if version != _VERSION:
            raise InputError(f"{path}: format version {version} given; allowed: {_VERSION}.")
        self._count, self._bytes = _SIZES.unpack(sizes)
        self._texts_at = _HEADER_BYTES + 8 * (self._count + 1)
        if size != self._texts_at + self._bytes:
            raise self._damaged()

    def __len__(self) -> int:
        """Returns the number of ids."""
        return self._count

    def texts(self, ids: np.ndarray) -> np.ndarray:
        """Returns the texts for which ids stand.

        Args:
          ids: Integers of any shape, such as the ids that a search returns.

        Returns:
          Strings of that shape.

        Raises:
          InputError: The table has no such id, or is damaged.
        """
        ids = np.asarray(ids)
        if ids.size and (ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= len(self)):
            raise InputError(
                f"ids: {some(ids.ravel().tolist())} given; allowed: integers, 0 to {len(self) - 1}."
            )
        try:
            found = [self._text(number).decode() for number in ids.ravel().tolist()]
        except UnicodeDecodeError as error:
            raise self._damaged() from error
        return np.array(found, np.str_).reshape(ids.shape)

    def find(self, texts: Sequence[str]) -> np.ndarray:
        """Finds ids by their texts, by bisection.

        Returns:
          int64 [M].

        Raises:
          InputError: The table has no such text.
        """
        ids = [self._bisect(text.encode(errors="surrogatepass")) for text in texts]
        if unknown := [text for text, number in zip(texts, ids, strict=True) if number is None]:
            raise InputError(f"texts: {some(unknown)} given; allowed: texts of the table.")
        return np.array(ids, np.int64)

    def _bisect(self, wanted):
        """Returns the id of an encoded text, or None."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            text = self._text(middle)
            if text == wanted:
                return middle
            # UTF-8 has the order of the characters.
            low, high = (middle + 1, high) if text < wanted else (low, middle)
        return None

    def _text(self, number):
        start, end = np.frombuffer(self._read(_HEADER_BYTES + 8 * number, 16), "<i8").tolist()
        if not 0 <= start <= end <= self._bytes:
            raise self._damaged()
        return self._read(self._texts_at + start, end - start)

    def _read(self, offset, size):
        content = os.pread(self._file.fileno(), size, offset)
        if len(content) != size:
            raise self._damaged()
        return content

    def _damaged(self):
        return InputError(f"{self._path}: the file is damaged; write it again.")


def write(path: str, texts: Sequence[str]) -> None:
    """Writes a table, whole or not at all; the id of a text is its place.

    Args:
      path: The file.
      texts: The texts, ascending and distinct.

    Raises:
      InputError: They are not.
      OSError: The file cannot be written.
    """
    lengths = np.empty(len(texts), np.int64)
    before = None
    with files.replacing(path, "wb") as file:
        file.seek(_HEADER_BYTES + 8 * (len(texts) + 1))
        for start in range(0, len(texts), _PIECE):
            encoded = [text.encode() for text in texts[start : start + _PIECE]]
            lengths[start : start + len(encoded)] = list(map(len, encoded))
            for text in encoded:
                if before is not None and text <= before:
                    raise InputError(
                        f"texts: {some([before.decode(), text.decode()])} given one behind the "
                        "other; allowed: distinct texts, ascending."
                    )
                before = text
            file.write(b"".join(encoded))
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype("<i8")
        begin, sizes = _START.pack(_MAGIC, _VERSION), _SIZES.pack(len(texts), int(ends[-1]))
        file.seek(0)
        file.write(begin + _CHECKSUM.pack(zlib.crc32(begin + sizes)) + sizes)
        file.write(ends.tobytes())
