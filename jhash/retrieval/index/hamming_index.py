"""Index of packed codes under ids of the user's own: searched, changed and kept in a file."""

import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jhash.errors import InputError, in_config
from jhash.retrieval.checks import as_codes, as_whole, is_whole
from jhash.retrieval.export import faiss as faiss_codes
from jhash.retrieval.index import file_format
from jhash.retrieval.index.ids import Ids, as_ids, as_public, parse
from jhash.retrieval.index.rows import Rows, State
from jhash.retrieval.index.searcher import Searcher
from jhash.retrieval.index.ways import Task
from jhash.retrieval.limits import MAX_BITS
from jhash.retrieval.packed import Array, code_bytes, shown
from jhash.retrieval.search import results
from jhash.system import mapped


class HammingIndex:
    """Index of packed codes under ids, with exact search.

    An index is made by `build`, `load` or `from_faiss`. Any number of threads may search it while
    others add and remove codes. Every search sees the index before or after a change, never half of
    a change. Changes reach the device with the next search.

    Attributes:
      bits: Code length.
      metadata: A dict that JSON can hold. The file keeps it; the index does not interpret it.
    """

    def __init__(
        self,
        rows: Rows,
        bits: int,
        metadata: dict | None,
        stream: bool = False,
        together: bool = False,
    ):
        """Takes over rows; users call `build`."""
        self.bits = bits
        self.metadata = json.loads(
            file_format.encode_metadata({} if metadata is None else metadata)
        )
        self._lock = threading.Lock()
        self._rows = rows
        self._stream = stream
        self._searcher = Searcher(rows, self._lock, bits, stream, together)

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
        return cls(Rows.copy_of(codes, ids), bits, metadata)

    @classmethod
    def load(
        cls, path: str, mmap: bool = False, stream: bool = False, together: bool = False
    ) -> "HammingIndex":
        """Reads the file of an index into memory; `docs/index_format.md` describes the format.

        The whole file is checked, checksums included. The index is a copy: a change of it does not
        reach the file before `save`, and no change of the file reaches the index.

        With `mmap` a file of any size is open at once, and processes that open it share its memory.
        Codes and integer ids are read when searches use them, and their checksums are not
        compared. The file must not be changed in place meanwhile, or cut off, which would end the
        process; `save` and `index add` replace it and do no harm. The first added code makes a
        copy.

        With `stream` the file is mapped, too, and a search holds one piece of the codes in memory
        at a time, some 64 MB. The file may be larger than memory. Each search reads all codes:
        nothing is kept that would make later ones faster. String ids are in memory all the same,
        some 90 bytes each.

        Args:
          path: Path of the file.
          mmap: Whether to map the file into memory in place of a copy.
          stream: Whether searches take the codes from the file piece by piece.
          together: Whether all processes that have joined (`parallel.join`) search together, each
            in a range of the rows, which it streams. All make the same calls in the same order, on
            equal files, and get the same results.

        Returns:
          The index.

        Raises:
          InputError: There is no such file, or it is not a whole, undamaged index of this version.
            The message begins with the path.
        """
        stream = stream or together
        mmap = mmap or stream
        content = file_format.read(path, mmap)
        try:
            codes = as_codes("codes", content.codes, content.bits)
            # Integers stay in the file; texts are in memory in any case.
            lazy = mmap and content.ids.dtype != object
            ids = content.ids if lazy else as_ids(content.ids, len(codes))
            rows = Rows(codes, ids, lazy=mmap, streamed=stream)
            return cls(rows, content.bits, content.metadata, stream, together)
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
        return parse(texts, self.id_kind)

    def search(
        self, queries: Array, k: int, only: Ids | Array | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds the k nearest codes of each query, exactly.

        Args:
          queries: Packed queries, uint32 [Q, ceil(bits / 32)]; Q may be 0.
          k: Number of results per query, 1 to the number of codes in the index.
          only: The codes that may be found: distinct ids that are in the index, [M], or a mask,
            bool [N], in insertion order. None for all.

        Returns:
          Distances int32 [Q, k], in bits, ascending, and ids [Q, k], int64 or str. Among equal
          distances, the code that was added earlier comes first. If `only` names fewer than k
          codes, there are as many results per query as it names.

        Raises:
          InputError: `queries` does not hold packed codes of the index's code length, `k` is out of
            range, or `only` holds an id that is not in the index, or one twice, or is a mask of
            another length.
        """
        queries = as_codes("queries", queries, self.bits)

        def make_task(state: State) -> Task:
            if not state.count:
                raise InputError(
                    f"k: {shown(k)} given; allowed: nothing, because the index is empty."
                )
            number = as_whole("k", k, 1, state.count, "the index's length")
            positions = self._positions(only)
            matches = state.count if positions is None else len(positions)
            return Task(state, queries, min(number, matches), self.bits, positions)

        task, found = self._searcher.find(make_task)
        shape = len(queries), task.k or 0
        ids = self._ids_at(task.state, found.positions)
        return found.distances.reshape(shape), as_public(ids.reshape(shape))

    def search_radius(
        self,
        queries: Array,
        radius: int,
        only: Ids | Array | None = None,
        min_distance: int = 0,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Finds all codes within a Hamming radius of each query.

        Args:
          queries: Packed queries, uint32 [Q, ceil(bits / 32)]; Q may be 0.
          radius: The largest distance that counts as within, 0 to bits.
          only: The codes that may be found; see `search`.
          min_distance: The smallest distance of a result, 0 to radius.

        Returns:
          Limits int64 [Q + 1], distances int32 [total] and ids [total], int64 or str. The results
          of query i lie at `[limits[i]:limits[i + 1]]`, in the order of `search`.

        Raises:
          InputError: `queries` does not hold packed codes of the index's code length, `radius` or
            `min_distance` is out of range, or `only` is wrong; see `search`.
        """
        queries = as_codes("queries", queries, self.bits)
        radius = as_whole("radius", radius, 0, self.bits, "the code length")
        min_distance = as_whole("min_distance", min_distance, 0, radius, "the radius")

        def make_task(state: State) -> Task:
            return Task(state, queries, None, radius, self._positions(only))

        task, found = self._searcher.find(make_task)
        if min_distance:
            found = results.leave_out(found, found.distances < min_distance)
        return found.limits, found.distances, as_public(self._ids_at(task.state, found.positions))

    def optimize(self, k: int = 10, radius: int = 2) -> None:
        """Makes now what fast searches need, which the index makes by itself after some searches.

        It takes a fifth of a second per million codes of 64 bits, and up to four times the memory
        of the codes. Later changes of the index keep it; it is made anew when they are many. Where
        the codes are such that it would bring nothing, nothing is kept, nor for an index that is
        streamed.

        Args:
          k: Number of results of the searches to come, of `search`.
          radius: Radius of the searches to come, of `search_radius`.

        Raises:
          InputError: `k` or `radius` is out of range.
        """
        k = as_whole("k", k, 1, 2**31 - 1, "the results per query")
        radius = as_whole("radius", radius, 0, self.bits, "the code length")
        self._searcher.group((k, self.bits), (None, radius))

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

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the codes and their ids, some at a time, in insertion order.

        Args:
          size: Number of codes at a time, at least 1.

        Yields:
          Codes as bytes, uint8 [size, ceil(bits / 8)], as `export` returns them, and ids, int64 or
          an object array of strings [size]. The last ones may be fewer.

        Raises:
          InputError: `size` is no such number.
        """
        if not is_whole(size) or size < 1:
            raise InputError(f"size: {shown(size)} given; allowed: an integer of at least 1.")
        codes, ids = self._living()
        for start in range(0, len(codes), size):
            rows = codes[start : start + size]
            yield code_bytes(rows, self.bits), ids[start : start + size]
            if self._stream:
                mapped.drop(rows)
                mapped.drop(ids[start : start + size])

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

    def _ids_at(self, state: State, positions: np.ndarray) -> np.ndarray:
        return mapped.take(state.ids, positions) if self._stream else state.ids[positions]

    def _positions(self, only: Ids | Array | None) -> np.ndarray | None:
        """Returns the positions of the codes that may be found, ascending; see `search`."""
        if only is None:
            return None
        if not hasattr(only, "dtype") or only.dtype != np.bool_:
            with in_config({"ids": "only"}):
                return np.sort(self._rows.find(as_ids(only)))
        mask = np.asarray(only)
        if mask.shape != (self._rows.count,):
            raise InputError(
                f"only: bool{list(mask.shape)} given; allowed: bool [{self._rows.count}], one per "
                "code of the index, or ids."
            )
        living = self._rows.living()
        return np.flatnonzero(mask) if isinstance(living, slice) else living[mask]

    def _living(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns codes and ids of the live rows, in insertion order; views if no row is dead."""
        with self._lock:
            codes = self._rows.codes
            ids = self._rows.ids
            living = self._rows.living()
        return codes[living], ids[living]
