"""An index: packed codes under ids of the user's own, searched, changed and kept in a file."""

import json
import numbers
import os
import threading
import zipfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from jhash.errors import InputError
from jhash.retrieval import hamming, index_file, layout
from jhash.retrieval.codes import WORD_BITS, check_packed

# Queries that are searched at a time, and results that are in memory on the device.
_BATCH_QUERIES = 4096
_BATCH_RESULTS = 1 << 22
# A full buffer grows by a quarter. Free rows are scanned by every search: with doubling, searches
# would take twice as long from the first added code on. Every size is compiled anew, though.
_GROWTH = 4
_LEAST_GROWTH = 1 << 14
_NAMED = 3


class _Snapshot(NamedTuple):
    """One state of the index, as searches see it; it never changes."""

    prepared: layout.Prepared | None  # None when there are no codes.
    ids: np.ndarray  # [capacity], by position.
    count: int  # Live rows.


class HammingIndex:
    """Exact search in packed codes that carry ids.

    Made by `build`, `load`, `from_run` or `from_faiss`. Any number of threads may search while
    others add and remove: every search sees the index as it is before or after a change, never
    half of one. What was added or removed reaches the device with the next search.

    Attributes:
      bits: Code length.
      metadata: A dict that JSON can hold; kept in the file, not interpreted.
    """

    def __init__(self, codes: np.ndarray, bits: int, ids: np.ndarray, metadata: dict | None):
        """Takes over checked arrays; use `build`."""
        self.bits = int(bits)
        self.metadata = json.loads(index_file.encode_metadata({} if metadata is None else metadata))
        self._lock = threading.Lock()
        # Rows are only ever appended to these buffers: a snapshot can share them, because what
        # lies at its live positions stays. A mapped file is full, so nothing is written to it.
        self._codes, self._ids = codes, ids
        self._live = np.ones(len(codes), bool)
        self._used = self._count = len(codes)
        self._next_id = _after_greatest(ids, 0)
        # Ids that ascend, as the default ones do, are looked up by bisection. Others take a dict
        # of the living (some 100 MB for each million), made when it is first needed.
        self._ascending, self._places = _ascend(ids), None
        self._snapshot: _Snapshot | None = None
        self._changed: list[np.ndarray] = []  # Positions that the snapshot does not have yet.

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
        codes = _check_codes("codes", codes, bits)
        ids = np.arange(len(codes), dtype=np.int64) if ids is None else _as_ids(ids, len(codes))
        return cls(codes.copy(), bits, ids.copy(), metadata)

    @classmethod
    def from_run(cls, workdir: str, database: str = "encoded") -> "HammingIndex":
        """Makes an index of the database codes that a run has left in its folder.

        Args:
          workdir: The run's folder.
          database: `"encoded"`, the codes that the network gives the database, or `"learned"`,
            those that training learned for it.

        Returns:
          The index; ids are the images' places in the run's source, metadata is
          `{"run": workdir, "database": database}`.

        Raises:
          InputError: There are no such codes.
        """
        names = {"encoded": "database.npz", "learned": "database_learned.npz"}
        if database not in names:
            raise InputError(f"database: got {database!r}; allowed are {', '.join(names)}.")
        path = os.path.join(workdir, "codes", names[database])
        try:
            with np.load(path) as file:
                codes, bits, ids = file["codes"], int(file["bits"]), file["ids"]
        except FileNotFoundError as error:
            raise InputError(
                f"{path}: there is no such file; a run writes it when it ends, the learned codes "
                "only if its method learns any."
            ) from error
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: no codes of a run can be read from it: {error}") from error
        return cls.build(codes, bits, ids, {"run": os.path.abspath(workdir), "database": database})

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
        content = index_file.read(path)
        try:
            codes = _check_codes("codes", content.codes, content.bits)
            ids = _as_ids(content.ids, len(codes))
        except InputError as error:
            raise InputError(f"{path}: the file is damaged: {error}") from error
        return cls(codes, content.bits, ids, content.metadata)

    @classmethod
    def from_faiss(cls, faiss_index, ids=None) -> "HammingIndex":
        """Makes an index of the codes of a binary index of faiss.

        Args:
          faiss_index: `IndexBinaryFlat`, or `IndexBinaryIDMap` or `IndexBinaryIDMap2` of one.
          ids: As in `build`; by default those of an ID map, else 0 to N - 1.

        Returns:
          The index; its code length is faiss's, a multiple of 8.

        Raises:
          InputError: faiss is missing, or it is another kind of index.
        """
        faiss = _import_faiss()
        flat = faiss_index
        if isinstance(faiss_index, faiss.IndexBinaryIDMap):
            flat = faiss.downcast_IndexBinary(faiss_index.index)
            if ids is None:
                ids = faiss.vector_to_array(faiss_index.id_map)
        if not isinstance(flat, faiss.IndexBinaryFlat):
            raise InputError(
                f"faiss_index: got {type(faiss_index).__name__} of {type(flat).__name__}; allowed "
                "are IndexBinaryFlat, and IndexBinaryIDMap or IndexBinaryIDMap2 of one."
            )
        rows = faiss.vector_to_array(flat.xb).reshape(flat.ntotal, flat.code_size)
        rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
        return cls.build(rows.view("<u4").astype(np.uint32, copy=False), flat.d, ids)

    def __len__(self) -> int:
        return self._count

    @property
    def ids(self) -> np.ndarray:
        """The ids in insertion order, int64 or str [N]."""
        return _public(self._living()[1].copy())

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
        queries = _check_codes("queries", queries, self.bits)
        snapshot = self._current()
        if not snapshot.count:
            raise InputError("k: the index is empty; add codes before searching.")
        k = _check_whole("k", k, 1, snapshot.count, "the index's length")
        distances = np.empty((len(queries), k), np.int32)
        ids = np.empty((len(queries), k), snapshot.ids.dtype)
        for rows in _batches(len(queries), k):
            distances[rows], positions = hamming.search(snapshot.prepared, queries[rows], k)
            ids[rows] = snapshot.ids[np.asarray(positions)]
        return distances, _public(ids)

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
        queries = _check_codes("queries", queries, self.bits)
        radius = _check_whole("radius", radius, 0, self.bits, "the code length")
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
        return limits, distances, _public(ids)

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
        codes = _check_codes("codes", codes, self.bits)
        if ids is not None:
            ids = _as_ids(ids, len(codes))
        with self._lock:
            if not len(codes):
                return
            if ids is None:
                ids = self._default_ids(len(codes))
            if ids.dtype != self._ids.dtype:
                self._change_kind(ids)
            # Integers beyond all that there ever were need no look-up.
            if ids.dtype == object or ids.min() < self._next_id:
                known = ids[self._find(ids) >= 0].tolist()
                if known:
                    raise InputError(f"ids: in the index already: {_some(known)}.")
            end = self._used + len(codes)
            if end > len(self._codes):
                self._grow(end)
            rows = np.arange(self._used, end)
            self._codes[rows], self._ids[rows], self._live[rows] = codes, ids, True
            last = self._ids[self._used - 1 : self._used]
            self._ascending = self._ascending and _ascend(np.append(last, ids))
            if self._places is not None:
                self._places.update(zip(ids.tolist(), rows.tolist(), strict=True))
            self._next_id = _after_greatest(ids, self._next_id)
            self._used, self._count = end, self._count + len(codes)
            self._changed.append(rows)

    def remove(self, ids) -> None:
        """Removes codes, all of them or, on an error, none.

        Args:
          ids: Distinct ids in the index, [M].

        Raises:
          InputError: An id is not in the index, or is given twice.
        """
        ids = _as_ids(ids)
        with self._lock:
            rows = self._find(ids)
            unknown = ids[rows < 0].tolist()
            if unknown:
                raise InputError(f"ids: not in the index: {_some(unknown)}. Nothing was removed.")
            if not len(rows):
                return
            if self._places is not None:
                for key in ids.tolist():
                    del self._places[key]
            self._live[rows] = False
            self._count -= len(rows)
            self._changed.append(rows)
            if 2 * self._count < self._used:
                self._compact()

    def save(self, path: str) -> None:
        """Writes the index to a file, which takes the place of `path` at once or not at all.

        Args:
          path: The file, also the one that the index was loaded from. Its folder is made if need
            be.

        Raises:
          InputError: `path` cannot be written, or metadata is not JSON.
        """
        codes, ids = self._living()
        index_file.write(path, index_file.Content(codes, self.bits, ids, self.metadata))

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
        faiss = _import_faiss()
        codes, ids = self._living()
        if ids.dtype == object:
            raise InputError(
                "ids: faiss has integer ids only, and those of this index are strings."
            )
        data = _as_bytes(codes, self.bits)
        flat = faiss.IndexBinaryFlat(8 * data.shape[1])
        if np.array_equal(ids, np.arange(len(ids))):
            flat.add(data)
            return flat
        mapped = faiss.IndexBinaryIDMap(flat)
        mapped.add_with_ids(data, ids)
        return mapped

    def _current(self) -> _Snapshot:
        """The present state, with the device brought up to date."""
        with self._lock:
            if not self._count:
                return _Snapshot(None, self._ids, 0)
            if self._snapshot is None:
                # A copy, because JAX may go on using the memory that it is given.
                live = None if self._live.all() else self._live.copy()
                prepared = layout.prepare(self._codes, live)
            elif self._changed:
                rows = np.unique(np.concatenate(self._changed))
                prepared = layout.replace(
                    self._snapshot.prepared, rows, self._codes[rows], self._live[rows]
                )
            else:
                return self._snapshot
            self._snapshot = _Snapshot(prepared, self._ids, self._count)
            self._changed = []
            return self._snapshot

    def _living(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes and ids of the live rows, in insertion order; copies only if any row is dead."""
        with self._lock:
            full = self._count == self._used
            rows = slice(self._used) if full else np.flatnonzero(self._live)
            codes, ids = self._codes, self._ids
        return codes[rows], ids[rows]

    def _find(self, ids: np.ndarray) -> np.ndarray:
        """Positions of the living with these ids; -1 where there is none."""
        if not self._count or ids.dtype != self._ids.dtype:
            return np.full(len(ids), -1)
        if self._ascending:
            rows = np.searchsorted(self._ids[: self._used], ids)
            rows = np.minimum(rows, self._used - 1)
            return np.where((self._ids[rows] == ids) & self._live[rows], rows, -1)
        if self._places is None:
            rows = np.flatnonzero(self._live)
            self._places = dict(zip(self._ids[rows].tolist(), rows.tolist(), strict=True))
        return np.array([self._places.get(key, -1) for key in ids.tolist()], np.int64)

    def _default_ids(self, count: int) -> np.ndarray:
        if self._ids.dtype == object:
            raise InputError(
                "ids: got none, and the index has strings; give a string for every code."
            )
        end = self._next_id + count
        if end > np.iinfo(np.int64).max + 1:
            raise InputError(f"ids: none are left after {self._next_id - 1}; give them.")
        return np.arange(self._next_id, end, dtype=np.int64)

    def _change_kind(self, ids: np.ndarray) -> None:
        if self._count:
            kinds = ["strings" if a.dtype == object else "integers" for a in (ids, self._ids)]
            raise InputError(f"ids: got {kinds[0]}, and the index has {kinds[1]}; use one kind.")
        self._ids, self._next_id = np.empty(len(self._codes), ids.dtype), 0
        self._ascending, self._places = _ascend(self._ids), None

    def _grow(self, size: int) -> None:
        capacity = len(self._codes)
        room = max(size, capacity + max(capacity // _GROWTH, _LEAST_GROWTH)) - capacity
        buffers = (self._codes, self._ids, self._live)
        # All three before any is taken: memory may run out.
        self._codes, self._ids, self._live = [
            np.concatenate([buffer, np.zeros((room, *buffer.shape[1:]), buffer.dtype)])
            for buffer in buffers
        ]
        self._snapshot, self._changed = None, []

    def _compact(self) -> None:
        rows = np.flatnonzero(self._live)
        self._codes, self._ids = self._codes[rows], self._ids[rows]
        self._live = np.ones(len(rows), bool)
        self._used = len(rows)
        self._ascending, self._places = _ascend(self._ids), None
        self._snapshot, self._changed = None, []


def _check_codes(name: str, codes, bits: int) -> np.ndarray:
    codes = np.asarray(codes)
    check_packed(name, codes, bits)
    unused = -bits % WORD_BITS
    beyond = codes[:, -1] >= np.uint64(1 << (WORD_BITS - unused))
    if beyond.any():
        row = int(np.argmax(beyond))
        raise InputError(
            f"{name}: row {row} has bits set beyond the {bits} of a code; unused bits must be 0."
        )
    return codes


def _check_whole(name: str, value: int, least: int, greatest: int, what: str) -> int:
    if not isinstance(value, numbers.Integral) or not least <= value <= greatest:
        raise InputError(f"{name}: got {value!r}; allowed are {least} to {greatest}, {what}.")
    return int(value)


def _as_ids(ids, count: int | None = None) -> np.ndarray:
    """Distinct ids as an int64 array or, of strings, an object array."""
    # As an array, a list of integers and strings would be one of strings.
    array = np.asarray(ids) if hasattr(ids, "dtype") else np.array(ids, dtype=object)
    if array.ndim != 1 or (count is not None and len(array) != count):
        wanted = "a list of ids" if count is None else f"one id for every code, [{count}]"
        raise InputError(f"ids: got shape {list(array.shape)}; allowed is {wanted}.")
    if array.dtype.kind in "iu" and np.can_cast(array.dtype, np.int64):
        array = array.astype(np.int64, copy=False)
    else:
        array = _from_objects(array.tolist())
    ordered = np.sort(array, kind="stable")
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        raise InputError(f"ids: given more than once: {_some(dict.fromkeys(repeated.tolist()))}.")
    return array


def _from_objects(values: list) -> np.ndarray:
    if all(isinstance(v, numbers.Integral) and not isinstance(v, bool) for v in values):
        try:
            return np.array([int(value) for value in values], np.int64)
        except OverflowError as error:
            raise InputError("ids: got an integer beyond 64 bits; int64 is allowed.") from error
    if not all(isinstance(value, str) for value in values):
        kinds = " and ".join(sorted({type(value).__name__ for value in values}))
        raise InputError(f"ids: got {kinds}; allowed are integers only or strings only.")
    for value in values:
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"ids: {value!r} is not Unicode text.") from error
        if "\0" in value:  # NumPy's strings lose it at the end.
            raise InputError(f"ids: {value!r} has a NUL character in it; ids have none.")
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _public(ids: np.ndarray) -> np.ndarray:
    return ids.astype(str) if ids.dtype == object else ids


def _some(ids: Iterable) -> str:
    """Names the first ids and counts the others."""
    ids = list(ids)
    more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    return ", ".join(map(repr, ids[:_NAMED])) + more


def _ascend(ids: np.ndarray) -> bool:
    return ids.dtype != object and bool(np.all(ids[1:] > ids[:-1]))


def _after_greatest(ids: np.ndarray, least: int) -> int:
    return least if ids.dtype == object else max(least, int(ids.max(initial=-1)) + 1)


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


def _import_faiss():
    try:
        import faiss
    except ImportError as error:
        raise InputError("faiss is not installed; pip install faiss-cpu.") from error
    return faiss
