"""Rows of an index: codes and ids in buffers to which rows are only ever appended."""

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.index.ids import Lookup, after_largest, some

# A full buffer grows by 1 / _GROWTH of its size, and by at least _MIN_GROWTH rows. Free rows are
# scanned by every search, so if buffers doubled, searches would take twice as long from the first
# added code on. On the other hand, the search is compiled again per size of the buffers.
_GROWTH = 4
_MIN_GROWTH = 1 << 14
# Replacing changed rows takes less time than laying out all rows again up to this number of
# changes, or up to one in _CHANGES_SHARE of the rows if that is more.
_FEW_CHANGES = 1 << 10
_CHANGES_SHARE = 256


class Rows:
    """Packed codes and their ids, by position. The owner lets one thread at a time call it.

    The content of a live position of `codes` and `ids` never changes. A removal marks rows as dead,
    and buffers that grow or are compacted are new arrays. So another thread may go on reading the
    old ones.

    Attributes:
      codes: Packed codes, uint32 [capacity, words].
      ids: Ids, int64 [capacity] or an object array [capacity] of strings.
      live: Whether each row holds a code that was not removed, bool [capacity].
      count: Number of live rows.
    """

    codes: np.ndarray
    ids: np.ndarray
    live: np.ndarray
    count: int
    _used: int
    _lookup: Lookup
    _changed: list[np.ndarray] | None

    def __init__(self, codes: np.ndarray, ids: np.ndarray):
        """Starts with checked arrays, which it takes over without a copy."""
        self._next_id = after_largest(ids, 0)
        self._fill(codes, ids)

    def append(self, codes: np.ndarray, ids: np.ndarray | None) -> None:
        """Adds one code or more; on an error, it adds none.

        Args:
          codes: Packed codes, uint32 [M, words].
          ids: Ids as `as_ids` returns them, [M]. None for the integers after the largest so far.

        Raises:
          InputError: The ids are of another kind, an id is in the index already, or no integer is
            left for the ids.
        """
        if ids is None:
            ids = self._default_ids(len(codes))
        if ids.dtype != self.ids.dtype:
            self._change_kind(ids)
        # Integers that are larger than all ids that there ever were need no look-up.
        if ids.dtype == object or ids.min() < self._next_id:
            known = ids[self._find(ids) >= 0].tolist()
            if known:
                raise InputError(
                    f"ids: {some(known)} given; allowed: ids that are not in the index yet."
                )
        end = self._used + len(codes)
        if end > len(self.codes):
            self._grow(end)
        rows = np.arange(self._used, end)
        self.codes[rows] = codes
        self.ids[rows] = ids
        self.live[rows] = True
        self._lookup.append(ids, self.ids[: self._used])
        self._next_id = after_largest(ids, self._next_id)
        self._used = end
        self.count += len(codes)
        self._note(rows)

    def remove(self, ids: np.ndarray) -> None:
        """Removes codes; on an error, it removes none.

        Args:
          ids: Ids as `as_ids` returns them.

        Raises:
          InputError: An id is not in the index.
        """
        rows = self.find(ids)
        self._lookup.remove(ids)
        self.live[rows] = False
        self.count -= len(rows)
        self._note(rows)
        if 2 * self.count < self._used:
            living = self.living()
            self._fill(self.codes[living], self.ids[living])

    def find(self, ids: np.ndarray) -> np.ndarray:
        """Finds the positions of codes by their ids.

        Args:
          ids: Ids as `as_ids` returns them, [M].

        Returns:
          Positions, int64 [M].

        Raises:
          InputError: An id is not in the index.
        """
        rows = self._find(ids)
        unknown = ids[rows < 0].tolist()
        if unknown:
            raise InputError(f"ids: {some(unknown)} given; allowed: ids that are in the index.")
        return rows

    def living(self) -> slice | np.ndarray:
        """Returns the positions of the live rows, in insertion order; a slice if no row is dead."""
        full = self.count == self._used
        return slice(self._used) if full else np.flatnonzero(self.live)

    def changes(self) -> np.ndarray | None:
        """Returns the positions that changed since the last `forget_changes`.

        Returns:
          Positions, int64, ascending; None if all changed, or too many to replace one by one.
        """
        if self._changed is None:
            return None
        changed = np.unique(np.concatenate([np.empty(0, np.int64), *self._changed]))
        few = max(_FEW_CHANGES, len(self.codes) // _CHANGES_SHARE)
        return changed if len(changed) <= few else None

    def forget_changes(self) -> None:
        """Begins a new list of changes."""
        self._changed = []

    def _fill(self, codes: np.ndarray, ids: np.ndarray) -> None:
        self.codes = codes
        self.ids = ids
        self.live = np.ones(len(codes), bool)
        self.count = len(codes)
        self._used = len(codes)
        self._lookup = Lookup(ids)
        self._changed = None

    def _grow(self, min_size: int) -> None:
        capacity = len(self.codes)
        added = max(min_size - capacity, capacity // _GROWTH, _MIN_GROWTH)
        # All three are made before any is kept, because memory may run out.
        self.codes, self.ids, self.live = [
            np.concatenate([buffer, np.zeros((added, *buffer.shape[1:]), buffer.dtype)])
            for buffer in (self.codes, self.ids, self.live)
        ]
        self._changed = None

    def _note(self, rows: np.ndarray) -> None:
        """Adds rows to the list of changes."""
        if self._changed is not None:
            self._changed.append(rows)

    def _find(self, ids: np.ndarray) -> np.ndarray:
        """Finds positions, int64 [M]; -1 for an id that is not in the index."""
        if not self.count or ids.dtype != self.ids.dtype:
            return np.full(len(ids), -1)
        return self._lookup.find(ids, self.ids[: self._used], self.live[: self._used])

    def _default_ids(self, count: int) -> np.ndarray:
        if self.ids.dtype == object:
            raise InputError(
                "ids: none given; allowed: a string per code, because the ids of this index are "
                "strings."
            )
        end = self._next_id + count
        if end > np.iinfo(np.int64).max + 1:
            raise InputError(
                f"ids: none given; allowed: an integer per code, because fewer than {count} "
                f"integers are left after {self._next_id - 1}."
            )
        return np.arange(self._next_id, end, dtype=np.int64)

    def _change_kind(self, ids: np.ndarray) -> None:
        """Prepares an empty index for ids of the other kind."""
        if self.count:
            given, kept = (
                "strings" if array.dtype == object else "integers" for array in (ids, self.ids)
            )
            raise InputError(f"ids: {given} given; allowed: {kept}, as the index has them.")
        self._next_id = 0
        self._fill(self.codes[:0], np.empty(0, ids.dtype))
