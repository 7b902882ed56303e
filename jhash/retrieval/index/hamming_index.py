"""An index: packed codes under ids of the user's own, searched, changed and kept in a file."""

import json
import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.checks import as_codes, as_whole
from jhash.retrieval.codes import MAX_BITS
from jhash.retrieval.export import faiss as faiss_codes
from jhash.retrieval.index import file_format
from jhash.retrieval.index.ids import as_ids, as_public
from jhash.retrieval.index.rows import Rows
from jhash.retrieval.search import hamming, layout

# Queries that are searched at a time, and results that are in memory on the device.
_BATCH_QUERIES = 4096
_BATCH_RESULTS = 1 << 22


class _Snapshot(NamedTuple):
    """One state of the index, as searches see it; it never changes."""

    prepared: layout.Prepared | None  # None when there are no codes.
    ids: np.ndarray  # [capacity], by position.
    count: int  # Live rows.


class HammingIndex:
    """Exact search in packed codes that carry ids.

    Made by `build`, `load` or `from_faiss`. Any number of threads may search while
    others add and remove: every search sees the index as it is before or after a change, never
    half of one. What was added or removed reaches the device with the next search.

    Attributes:
      bits: Code length.
      metadata: A dict that JSON can hold; kept in the file, not interpreted.
    """

    def __init__(self, codes: np.ndarray, bits: int, ids: np.ndarray, metadata: dict | None):
        """Takes over checked arrays; use `build`."""
        self.bits = bits
        self.metadata = json.loads(
            file_format.encode_metadata({} if metadata is None else metadata)
        )
        self._lock = threading.Lock()
        self._rows = Rows(codes, ids)
        self._snapshot: _Snapshot | None = None

    @classmethod
    def build(cls, codes, bits: int, ids=None, metadata: dict | None = None) -> "HammingIndex":
        """Makes an index of packed codes.

        Args:
          codes: Packed, uint32 [N, ceil(bits / 32)]; N may be 0.
          bits: Code length, 1 to 512.
          ids: Distinct integers (int64) or strings, [N]; 0 to N - 1 by default.
          metadata: A dict that JSON can hold.

        Returns:
          The index, with a copy of the codes.

        Raises:
          InputError: Not codes of that length, bits set beyond it, or ids that do not fit.
        """
        bits = as_whole("bits", bits, 1, MAX_BITS, "the code lengths")
        codes = as_codes("codes", codes, bits)
        ids = np.arange(len(codes), dtype=np.int64) if ids is None else as_ids(ids, len(codes))
        return cls(codes.copy(), bits, ids.copy(), metadata)

    @classmethod
    def load(cls, path: str) -> "HammingIndex":
        """Maps an index from a file; `docs/index_format.md` describes the format.

        Everything is checked, checksums included. Codes and integer ids stay in the file until
        they are searched or changed; a change never reaches the file. While the index is in use
        the file may be replaced, by `save` too, but not be changed in place.

        Args:
          path: The file.

        Returns:
          The index.

        Raises:
          InputError: There is no such file, or it is not a whole, undamaged index of this version.
        """
        content = file_format.read(path)
        try:
            codes = as_codes("codes", content.codes, content.bits)
            ids = as_ids(content.ids, len(codes))
        except InputError as error:
            raise InputError(f"{path}: the file is damaged: {error}") from error
        return cls(codes, content.bits, ids, content.metadata)

    @classmethod
    def from_faiss(cls, faiss_index, ids=None, bits: int | None = None) -> "HammingIndex":
        """Makes an index of the codes of a binary index of faiss.

        Args:
          faiss_index: `IndexBinaryFlat`, or `IndexBinaryIDMap` or `IndexBinaryIDMap2` of one.
          ids: As in `build`; by default those of an ID map, else 0 to N - 1.
          bits: Code length, if faiss's, which is a multiple of 8, is longer than the codes are.

        Returns:
          The index.

        Raises:
          InputError: faiss is missing, it is another kind of index, or a code has bits set beyond
            `bits`.
        """
        codes, bits, found = faiss_codes.read(faiss_index, bits)
        return cls.build(codes, bits, found if ids is None else ids)

    def __len__(self) -> int:
        return self._rows.count

    @property
    def ids(self) -> np.ndarray:
        """The ids in insertion order, int64 or str [N]: a copy.

        NumPy gives every string the room of the longest, 4 bytes a character; to learn which of
        the two they are ask `id_kind`.
        """
        return as_public(self._living()[1].copy())

    @property
    def id_kind(self) -> str:
        """Of which kind the ids are, `"int64"` or `"string"`; an empty index takes either."""
        return "string" if self._rows.ids.dtype == object else "int64"

    def search(self, queries, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Finds the k nearest codes of every query, exactly.

        Args:
          queries: Packed, uint32 [Q, ceil(bits / 32)]; Q may be 0.
          k: How many, 1 to the index's length.

        Returns:
          Distances int32 [Q, k], in bits, ascending, and ids [Q, k], int64 or str. Among equal
          distances what was added earlier comes first.

        Raises:
          InputError: Not codes of the index's length, or k out of range.
        """
        queries = as_codes("queries", queries, self.bits)
        snapshot = self._current()
        if not snapshot.count:
            raise InputError("k: the index is empty; add codes before searching.")
        k = as_whole("k", k, 1, snapshot.count, "the index's length")
        distances = np.empty((len(queries), k), np.int32)
        ids = np.empty((len(queries), k), snapshot.ids.dtype)
        for rows in _batches(len(queries), k):
            distances[rows], positions = hamming.search(snapshot.prepared, queries[rows], k)
            ids[rows] = snapshot.ids[np.asarray(positions)]
        return distances, as_public(ids)

    def search_radius(self, queries, radius: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Finds all codes within a radius of every query.

        Args:
          queries: Packed, uint32 [Q, ceil(bits / 32)]; Q may be 0.
          radius: The greatest distance, 0 to bits.

        Returns:
          Limits int64 [Q + 1], distances int32 [total] and ids [total], int64 or str: those of
          query i are `[limits[i]:limits[i + 1]]`, sorted as by `search`.

        Raises:
          InputError: Not codes of the index's length, or the radius out of range.
        """
        queries = as_codes("queries", queries, self.bits)
        radius = as_whole("radius", radius, 0, self.bits, "the code length")
        snapshot = self._current()
        counts = np.zeros(len(queries), np.int64)
        if snapshot.count:
            for rows in _batches(len(queries), 1):
                counts[rows] = hamming.count_within(snapshot.prepared, queries[rows], radius)
        limits = np.zeros(len(queries) + 1, np.int64)
        np.cumsum(counts, out=limits[1:])
        distances = np.empty(limits[-1], np.int32)
        ids = np.empty(limits[-1], snapshot.ids.dtype)
        # Most hits first, so that the queries of a batch have about as many. Few values of k,
        # because each is compiled: it may exceed the number of live rows, the hits come first.
        order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        while len(order):
            k = min(_power_of_four(counts[order[0]]), len(snapshot.ids))
            batch, order = np.split(order, [_batch_size(k)])
            near, positions = map(np.asarray, hamming.search(snapshot.prepared, queries[batch], k))
            for row, query in enumerate(batch):
                found = slice(limits[query], limits[query + 1])
                distances[found] = near[row, : counts[query]]
                ids[found] = snapshot.ids[positions[row, : counts[query]]]
        return limits, distances, as_public(ids)

    def add(self, codes, ids=None) -> None:
        """Adds codes, all of them or, on an error, none.

        Args:
          codes: Packed, uint32 [M, ceil(bits / 32)].
          ids: Distinct and not in the index, [M], of the index's kind (an empty index takes
            either kind). By default they go on after the greatest integer id that the index has
            held since it was made or loaded.

        Raises:
          InputError: Not codes of the index's length, or ids that do not fit.
        """
        codes = as_codes("codes", codes, self.bits)
        if ids is not None:
            ids = as_ids(ids, len(codes))
        if len(codes):
            with self._lock:
                self._rows.append(codes, ids)

    def remove(self, ids) -> None:
        """Removes codes, all of them or, on an error, none.

        Args:
          ids: Distinct ids in the index, [M].

        Raises:
          InputError: An id is not in the index, or is given twice.
        """
        ids = as_ids(ids)
        with self._lock:
            self._rows.remove(ids)

    def save(self, path: str) -> None:
        """Writes the index to a file, which takes the place of `path` at once or not at all.

        Args:
          path: The file, also the one that the index was loaded from. Its folder is made if need
            be.

        Raises:
          InputError: `path` cannot be written, or metadata is not JSON.
        """
        codes, ids = self._living()
        file_format.write(path, file_format.Content(codes, self.bits, ids, self.metadata))

    def codes(self, ids) -> np.ndarray:
        """The codes under some ids, as `search` takes them.

        Args:
          ids: Distinct ids in the index, [M].

        Returns:
          Packed, uint32 [M, ceil(bits / 32)], in the order of `ids`.

        Raises:
          InputError: An id is not in the index, or is given twice.
        """
        ids = as_ids(ids)
        with self._lock:
            return self._rows.codes[self._rows.find(ids)]

    def export(self) -> np.ndarray:
        """The codes as bytes, in insertion order.

        Bit j of a code is bit `j % 8`, of value `1 << (j % 8)`, of byte `j // 8`; unused bits are
        0. faiss's binary indices and Milvus's BINARY_VECTOR take these rows.

        Returns:
          uint8 [N, ceil(bits / 8)].
        """
        return _as_bytes(self._living()[0], self.bits)

    def to_faiss(self):
        """Makes faiss's index of the same codes and ids.

        Returns:
          `faiss.IndexBinaryFlat` when the ids are 0 to N - 1 in this order, else a
          `faiss.IndexBinaryIDMap` of one. Its code length is the next multiple of 8; the bits
          added are 0 and change no distance.

        Raises:
          InputError: faiss is missing, or ids are strings.
        """
        codes, ids = self._living()
        return faiss_codes.write(_as_bytes(codes, self.bits), ids)

    def _current(self) -> _Snapshot:
        """The present state, with the device brought up to date."""
        with self._lock:
            rows = self._rows
            if not rows.count:
                return _Snapshot(None, rows.ids, 0)
            changed = rows.changes()
            if changed is None:
                self._snapshot = None  # Two layouts may be more than the device holds.
                # A copy, because JAX may go on using the memory that it is given.
                live = None if rows.live.all() else rows.live.copy()
                prepared = layout.prepare(rows.codes, live)
            elif len(changed):
                before = self._snapshot.prepared
                codes, live = rows.codes[changed], rows.live[changed]
                prepared = layout.replace(before, changed, codes, live)
            else:
                return self._snapshot
            self._snapshot = _Snapshot(prepared, rows.ids, rows.count)
            rows.forget_changes()
            return self._snapshot

    def _living(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes and ids of the live rows, in insertion order; copies only if any row is dead."""
        with self._lock:
            codes, ids, rows = self._rows.codes, self._rows.ids, self._rows.living()
        return codes[rows], ids[rows]


def _as_bytes(codes: np.ndarray, bits: int) -> np.ndarray:
    data = codes.astype("<u4", copy=False).view(np.uint8)
    return data[:, : -(-bits // 8)].copy()


def _power_of_four(n: int) -> int:
    """16, 64, 256, ...: the least one that is not below n."""
    return 1 << max(4, (int(n) - 1).bit_length() + 1 & ~1)


def _batch_size(k: int) -> int:
    return max(1, min(_BATCH_QUERIES, _BATCH_RESULTS // k))


def _batches(queries: int, k: int) -> Iterator[slice]:
    size = _batch_size(k)
    return (slice(start, start + size) for start in range(0, queries, size))
