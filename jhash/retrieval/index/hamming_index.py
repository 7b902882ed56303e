"""Index of packed codes under ids of the user's own: searched, changed and kept in a file."""

import json
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.checks import as_codes, as_whole
from jhash.retrieval.codes import Array, code_bytes, shown
from jhash.retrieval.export import faiss as faiss_codes
from jhash.retrieval.index import file_format
from jhash.retrieval.index.ids import Ids, as_ids, as_public
from jhash.retrieval.index.rows import Rows
from jhash.retrieval.limits import MAX_BITS
from jhash.retrieval.search import hamming, layout

# Bounds of a batch: queries that are searched at a time, and results in the device's memory.
_BATCH_QUERIES = 4096
_BATCH_RESULTS = 1 << 22


class _Snapshot(NamedTuple):
    """One state of the index, as searches see it; it never changes."""

    prepared: layout.Prepared | None  # The database on the device; None if there are no codes.
    ids: np.ndarray  # int64 [capacity] or an object array [capacity] of strings, by position.
    count: int  # type: ignore[assignment]  # Number of live rows.


class HammingIndex:
    """Index of packed codes under ids, with exact search.

    An index is made by `build`, `load` or `from_faiss`. Any number of threads may search it while
    others add and remove codes. Every search sees the index before or after a change, never half of
    a change. Changes reach the device with the next search.

    Attributes:
      bits: Code length.
      metadata: A dict that JSON can hold. The file keeps it; the index does not interpret it.
    """

    def __init__(self, codes: np.ndarray, bits: int, ids: np.ndarray, metadata: dict | None):
        """Takes over checked arrays without a copy; users call `build`."""
        self.bits = bits
        self.metadata = json.loads(
            file_format.encode_metadata({} if metadata is None else metadata)
        )
        self._lock = threading.Lock()
        self._rows = Rows(codes, ids)
        self._snapshot: _Snapshot | None = None

    @classmethod
    def build(
        cls, codes: Array, bits: int, ids: Ids | None = None, metadata: dict | None = None
    ) -> "HammingIndex":
        """Makes an index of packed codes.

        Args:
          codes: Packed codes, uint32 [N, ceil(bits / 32)]; N may be 0.
          bits: Code length, 1 to 512.
          ids: Distinct integers (int64) or strings, [N]; None for 0 to N - 1.
          metadata: A dict that JSON can hold; None for an empty one.

        Returns:
          The index, which holds a copy of the codes and ids.

        Raises:
          InputError: `codes` does not hold packed codes of that length, a code has a bit set beyond
            it, the ids are not one distinct id per code, or JSON cannot hold the metadata.
        """
        bits = as_whole("bits", bits, 1, MAX_BITS, "the code lengths of jhash")
        codes = as_codes("codes", codes, bits)
        ids = np.arange(len(codes), dtype=np.int64) if ids is None else as_ids(ids, len(codes))
        return cls(codes.copy(), bits, ids.copy(), metadata)

    @classmethod
    def load(cls, path: str) -> "HammingIndex":
        """Reads the file of an index into memory; `docs/index_format.md` describes the format.

        The whole file is checked, checksums included. The index is a copy: a change of it does not
        reach the file before `save`, and no change of the file reaches the index.

        Args:
          path: Path of the file.

        Returns:
          The index.

        Raises:
          InputError: There is no such file, or it is not a whole, undamaged index of this version.
            The message begins with the path.
        """
        content = file_format.read(path)
        try:
            codes = as_codes("codes", content.codes, content.bits)
            ids = as_ids(content.ids, len(codes))
            return cls(codes, content.bits, ids, content.metadata)
        except InputError as error:
            raise InputError(f"{path}: the file is damaged: {error}") from error

    @classmethod
    def from_faiss(
        cls, faiss_index: Any, ids: Ids | None = None, bits: int | None = None
    ) -> "HammingIndex":
        """Makes an index of the codes of a binary faiss index.

        Args:
          faiss_index: An `IndexBinaryFlat`, or an `IndexBinaryIDMap` or `IndexBinaryIDMap2` of one.
          ids: Distinct integers (int64) or strings, [N]; None for the ids of an ID map, or 0 to
            N - 1 if there is no ID map.
          bits: Code length; None for that of the faiss index, which is a multiple of 8 and so may
            be longer than the codes are.

        Returns:
          The index.

        Raises:
          InputError: faiss is not installed, the faiss index is of another kind, a code has a bit
            set beyond `bits`, or the ids are not one distinct id per code.
        """
        codes, bits, faiss_ids = faiss_codes.read(faiss_index, bits)
        return cls.build(codes, bits, faiss_ids if ids is None else ids)

    def __len__(self) -> int:
        return self._rows.count

    @property
    def ids(self) -> np.ndarray:
        """A copy of the ids in insertion order, int64 or str [N].

        NumPy gives every string the room of the longest one, 4 bytes per character. `id_kind` tells
        integers from strings without making this array.
        """
        return as_public(self._living()[1].copy())

    @property
    def id_kind(self) -> str:
        """The kind of the ids, `"int64"` or `"string"`. An empty index takes ids of either kind."""
        return "string" if self._rows.ids.dtype == object else "int64"

    def parse_ids(self, texts: Sequence[str]) -> np.ndarray:
        """Converts texts to ids of the index's kind.

        Args:
          texts: Ids as somebody typed them, [M].

        Returns:
          int64 or str [M].

        Raises:
          InputError: The ids of the index are integers, and a text is none.
        """
        if self.id_kind == "string":
            return np.array(texts)
        try:
            return np.array([_parse_integer(text) for text in texts], np.int64)
        except (ValueError, OverflowError) as error:
            raise InputError(
                f"texts: {shown(list(texts))} given; allowed: integers, as the ids of this index "
                "are."
            ) from error

    def search(self, queries: Array, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Finds the k nearest codes of each query, exactly.

        Args:
          queries: Packed queries, uint32 [Q, ceil(bits / 32)]; Q may be 0.
          k: Number of results per query, 1 to the number of codes in the index.

        Returns:
          Distances int32 [Q, k], in bits, ascending, and ids [Q, k], int64 or str. Among equal
          distances, the code that was added earlier comes first.

        Raises:
          InputError: `queries` does not hold packed codes of the index's code length, or `k` is out
            of range.
        """
        queries = as_codes("queries", queries, self.bits)
        snapshot = self._current()
        if snapshot.prepared is None:
            raise InputError(f"k: {shown(k)} given; allowed: nothing, because the index is empty.")
        k = as_whole("k", k, 1, snapshot.count, "the index's length")
        distances = np.empty((len(queries), k), np.int32)
        ids = np.empty((len(queries), k), snapshot.ids.dtype)
        for rows in _batches(len(queries), k):
            distances[rows], positions = hamming.search(snapshot.prepared, queries[rows], k)
            ids[rows] = snapshot.ids[np.asarray(positions)]
        return distances, as_public(ids)

    def search_radius(
        self, queries: Array, radius: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Finds all codes within a Hamming radius of each query.

        Args:
          queries: Packed queries, uint32 [Q, ceil(bits / 32)]; Q may be 0.
          radius: The largest distance that counts as within, 0 to bits.

        Returns:
          Limits int64 [Q + 1], distances int32 [total] and ids [total], int64 or str. The results
          of query i lie at `[limits[i]:limits[i + 1]]`, in the order of `search`.

        Raises:
          InputError: `queries` does not hold packed codes of the index's code length, or `radius`
            is out of range.
        """
        queries = as_codes("queries", queries, self.bits)
        radius = as_whole("radius", radius, 0, self.bits, "the code length")
        snapshot = self._current()
        counts = np.zeros(len(queries), np.int64)
        if snapshot.prepared is not None:
            for rows in _batches(len(queries), 1):
                counts[rows] = hamming.count_within(snapshot.prepared, queries[rows], radius)
        limits = np.zeros(len(queries) + 1, np.int64)
        np.cumsum(counts, out=limits[1:])
        distances = np.empty(limits[-1], np.int32)
        ids = np.empty(limits[-1], snapshot.ids.dtype)
        # Queries with the most hits come first, so that those of a batch have similar numbers. k is
        # rounded up to few values, because the search is compiled per value. It may exceed the
        # number of live rows: the hits are the first of the results.
        order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        while snapshot.prepared is not None and len(order):
            k = min(_power_of_four(counts[order[0]]), len(snapshot.ids))
            batch, order = np.split(order, [_batch_size(k)])
            near, positions = map(np.asarray, hamming.search(snapshot.prepared, queries[batch], k))
            for row, query in enumerate(batch):
                hits = slice(limits[query], limits[query + 1])
                distances[hits] = near[row, : counts[query]]
                ids[hits] = snapshot.ids[positions[row, : counts[query]]]
        return limits, distances, as_public(ids)

    def add(self, codes: Array, ids: Ids | None = None) -> None:
        """Adds codes; on an error, it adds none.

        Args:
          codes: Packed codes, uint32 [M, ceil(bits / 32)].
          ids: Distinct ids that are not in the index, [M], of the kind that the index has (an empty
            index takes either kind). None for the integers after the largest id that the index has
            held since it was made or loaded.

        Raises:
          InputError: `codes` does not hold packed codes of the index's code length, the ids are not
            one distinct id per code, they are of the other kind, or an id is in the index already.
        """
        codes = as_codes("codes", codes, self.bits)
        if ids is not None:
            ids = as_ids(ids, len(codes))
        if len(codes):
            with self._lock:
                self._rows.append(codes, ids)

    def remove(self, ids: Ids) -> None:
        """Removes codes; on an error, it removes none.

        Args:
          ids: Distinct ids that are in the index, [M].

        Raises:
          InputError: An id is not in the index, or is given twice.
        """
        ids = as_ids(ids)
        with self._lock:
            self._rows.remove(ids)

    def save(self, path: str) -> None:
        """Writes the index to a file, which takes the place of `path` at once or not at all.

        Args:
          path: Path of the file; its folder is made if it is missing. It may be the file that the
            index was loaded from.

        Raises:
          InputError: The file cannot be written, or JSON cannot hold the metadata.
        """
        codes, ids = self._living()
        file_format.write(path, file_format.Content(codes, self.bits, ids, self.metadata))

    def codes(self, ids: Ids) -> np.ndarray:
        """Returns the codes that have given ids, as `search` takes them.

        Args:
          ids: Distinct ids that are in the index, [M].

        Returns:
          Packed codes, uint32 [M, ceil(bits / 32)], in the order of `ids`.

        Raises:
          InputError: An id is not in the index, or is given twice.
        """
        ids = as_ids(ids)
        with self._lock:
            return self._rows.codes[self._rows.find(ids)]

    def export(self) -> np.ndarray:
        """Returns the codes as bytes, in insertion order.

        Bit j of a code is bit `j % 8` of byte `j // 8`, where bit i of a byte has the value
        `1 << i`. Unused bits are 0. faiss's binary indices and Milvus's BINARY_VECTOR take these
        rows.

        Returns:
          uint8 [N, ceil(bits / 8)].
        """
        return code_bytes(self._living()[0], self.bits).copy()

    def to_faiss(self) -> Any:
        """Makes a faiss index of the same codes and ids.

        Returns:
          A `faiss.IndexBinaryFlat` if the ids are 0 to N - 1 in this order, else a
          `faiss.IndexBinaryIDMap` of one. Its code length is rounded up to a multiple of 8. The
          added bits are 0 and change no distance.

        Raises:
          InputError: faiss is not installed, or the ids are strings.
        """
        codes, ids = self._living()
        return faiss_codes.write(code_bytes(codes, self.bits).copy(), ids)

    def _current(self) -> _Snapshot:
        """Returns the present state, after an update of the device."""
        with self._lock:
            rows = self._rows
            if not rows.count:
                return _Snapshot(None, rows.ids, 0)
            changed = rows.changes()
            if changed is None or self._snapshot is None or self._snapshot.prepared is None:
                # Freed first, because the device may not have room for two layouts.
                self._snapshot = None
                # A copy, because JAX may go on using the memory that it is given.
                live = None if rows.live.all() else rows.live.copy()
                prepared = layout.prepare(rows.codes, live)
            elif len(changed):
                prepared = layout.replace(
                    self._snapshot.prepared, changed, rows.codes[changed], rows.live[changed]
                )
            else:
                return self._snapshot
            self._snapshot = _Snapshot(prepared, rows.ids, rows.count)
            rows.forget_changes()
            return self._snapshot

    def _living(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns codes and ids of the live rows, in insertion order; views if no row is dead."""
        with self._lock:
            codes = self._rows.codes
            ids = self._rows.ids
            living = self._rows.living()
        return codes[living], ids[living]


def _power_of_four(n: int) -> int:
    """Rounds up to 16, 64, 256, ..."""
    return 1 << max(4, (int(n) - 1).bit_length() + 1 & ~1)


def _batch_size(k: int) -> int:
    """Chooses how many queries are searched at a time for k results each."""
    return max(1, min(_BATCH_QUERIES, _BATCH_RESULTS // k))


def _batches(queries: int, k: int) -> Iterator[slice]:
    """Yields the queries of each batch, as slices."""
    size = _batch_size(k)
    return (slice(start, start + size) for start in range(0, queries, size))


def _parse_integer(text: str) -> int:
    if not re.fullmatch("[+-]?[0-9]+", text):
        raise ValueError  # Python would take 1_0 for 10.
    return int(text)
