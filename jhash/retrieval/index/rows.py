"""The rows of an index: codes and ids in buffers, to which rows are only ever appended."""

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.index.ids import Lookup, after_greatest, some

# A full buffer grows by a quarter. Free rows are scanned by every search: with doubling, searches
# would take twice as long from the first added code on. Every size is compiled anew, though.
_GROWTH = 4
_LEAST_GROWTH = 1 << 14
# More changed rows than this, and than one of so many: laying all rows out for searching again
# takes less time than replacing them.
_FEW_CHANGES = 1 << 10
_CHANGES_SHARE = 256


class Rows:
    """Packed codes and their ids, by position. Its owner sees to it that one thread calls it.

    What lies at a live position of `codes` and `ids` stays: a removal marks rows as dead, and
    buffers that grow or are compacted are new ones. So another thread may go on reading the old
    ones. A mapped file is full, so that nothing is written to it.

    Attributes:
      codes: uint32 [capacity, words].
      ids: int64 or object [capacity].
      live: bool [capacity]: which rows hold a code.
      count: How many do.
    """

    def __init__(self, codes: np.ndarray, ids: np.ndarray):
        """Takes over checked arrays."""
        self._next_id = after_greatest(ids, 0)
        self._fill(codes, ids)

    def append(self, codes: np.ndarray, ids: np.ndarray | None) -> None:
        """Adds at least one code; all of them or, on an error, none.

        Args:
          codes: uint32 [M, words].
          ids: As `as_ids` returns them, [M]; if None, they go on after the greatest so far.

        Raises:
          InputError: Ids of another kind, ids that are here already, or none left to go on with.
        """
        if ids is None:
            ids = self._default_ids(len(codes))
        if ids.dtype != self.ids.dtype:
            self._change_kind(ids)
        # Integers beyond all that there ever were need no look-up.
        if ids.dtype == object or ids.min() < self._next_id:
            known = ids[self._find(ids) >= 0].tolist()
            if known:
                raise InputError(f"ids: in the index already: {some(known)}.")
        end = self._used + len(codes)
        if end > len(self.codes):
            self._grow(end)
        rows = np.arange(self._used, end)
        self.codes[rows], self.ids[rows], self.live[rows] = codes, ids, True
        self._lookup.append(ids, self.ids[: self._used])
        self._next_id = after_greatest(ids, self._next_id)
        self._used, self.count = end, self.count + len(codes)
        self._note(rows)

    def remove(self, ids: np.ndarray) -> None:
        """Removes codes; all of them or, on an error, none.

        Args:
          ids: As `as_ids` returns them.

        Raises:
          InputError: An id is not here.
        """
        rows = self._find(ids)
        unknown = ids[rows < 0].tolist()
        if unknown:
            raise InputError(f"ids: not in the index: {some(unknown)}. Nothing was removed.")
        self._lookup.remove(ids)
        self.live[rows] = False
        self.count -= len(rows)
        self._note(rows)
        if 2 * self.count < self._used:
            living = self.living()
            self._fill(self.codes[living], self.ids[living])

    def find(self, ids: np.ndarray) -> np.ndarray:
        """The positions of codes.

        Args:
          ids: As `as_ids` returns them, [M].

        Returns:
          int64 [M].

        Raises:
          InputError: An id is not here.
        """
        rows = self._find(ids)
        if unknown := ids[rows < 0].tolist():
            raise InputError(f"ids: not in the index: {some(unknown)}.")
        return rows

    def living(self) -> slice | np.ndarray:
        """Positions of the live rows, in insertion order; a slice if no row is dead."""
        full = self.count == self._used
        return slice(self._used) if full else np.flatnonzero(self.live)

    def changes(self) -> np.ndarray | None:
        """Positions that changed since `forget_changes`, ascending; None: all, or too many."""
        if self._changed is None:
            return None
        changed = np.unique(np.concatenate([np.empty(0, np.int64), *self._changed]))
        few = max(_FEW_CHANGES, len(self.codes) // _CHANGES_SHARE)
        return changed if len(changed) <= few else None

    def forget_changes(self) -> None:
        """Begins a new list of changes."""
        self._changed = []

    def _fill(self, codes: np.ndarray, ids: np.ndarray) -> None:
        self.codes, self.ids, self.live = codes, ids, np.ones(len(codes), bool)
        self._used = self.count = len(codes)
        self._lookup = Lookup(ids)
        self._changed: list[np.ndarray] | None = None

    def _grow(self, size: int) -> None:
        capacity = len(self.codes)
        room = max(size, capacity + max(capacity // _GROWTH, _LEAST_GROWTH)) - capacity
        # All three before any is taken: memory may run out.
        self.codes, self.ids, self.live = [
            np.concatenate([buffer, np.zeros((room, *buffer.shape[1:]), buffer.dtype)])
            for buffer in (self.codes, self.ids, self.live)
        ]
        self._changed = None

    def _note(self, rows: np.ndarray) -> None:
        if self._changed is not None:
            self._changed.append(rows)

    def _find(self, ids: np.ndarray) -> np.ndarray:
        if not self.count or ids.dtype != self.ids.dtype:
            return np.full(len(ids), -1)
        return self._lookup.find(ids, self.ids[: self._used], self.live[: self._used])

    def _default_ids(self, count: int) -> np.ndarray:
        if self.ids.dtype == object:
            raise InputError(
                "ids: got none, and the index has strings; give a string for every code."
            )
        end = self._next_id + count
        if end > np.iinfo(np.int64).max + 1:
            raise InputError(f"ids: none are left after {self._next_id - 1}; give them.")
        return np.arange(self._next_id, end, dtype=np.int64)

    def _change_kind(self, ids: np.ndarray) -> None:
        if self.count:
            kinds = ["strings" if a.dtype == object else "integers" for a in (ids, self.ids)]
            raise InputError(f"ids: got {kinds[0]}, and the index has {kinds[1]}; use one kind.")
        self._next_id = 0
        self._fill(self.codes[:0], np.empty(0, ids.dtype))
