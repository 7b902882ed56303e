"""Rows of an index: codes and ids in buffers to which rows are only ever appended."""

from typing import NamedTuple

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.index.ids import Lookup, after_largest, some

# Buffers have room for 1 / _ROOM more rows, and for _MIN_ROOM at least. Room takes no memory until
# it is used.
_ROOM = 2
_MIN_ROOM = 1 << 14
# Replacing changed rows takes less time than laying out all rows again up to this number of
# changes, or up to one in _CHANGES_SHARE of the rows if that is more.
_FEW_CHANGES = 1 << 10
_CHANGES_SHARE = 256


class State(NamedTuple):
    """One state of the rows, as searches see it; what lies below `used` never changes.

    The rows of two states with the same `layout` have the same positions. Of two states, the one
    with the larger `version` is the later.
    """

    codes: np.ndarray  # uint32 [capacity, words].
    ids: np.ndarray  # int64 [capacity], or an object array of strings.
    live: np.ndarray | None  # bool [capacity]; None if no row below `used` is dead.
    used: int  # Number of rows, dead ones included.
    count: int  # type: ignore[assignment]  # Number of live rows.
    layout: int
    version: int


class Rows:
    """Packed codes and their ids, by position. The owner lets one thread at a time call it.

    The content of a live position of `codes` and `ids` never changes. A removal marks rows as dead
    in a copy of `live` if a state has the array, and buffers that grow or are compacted are new
    arrays. So another thread may go on reading the old ones.

    Attributes:
      codes: Packed codes, uint32 [capacity, words].
      ids: Ids, int64 [capacity] or an object array [capacity] of strings.
      live: Whether each row holds a code that was not removed, bool [capacity]. It is made when it
        is first needed.
      used: Number of rows so far, dead ones included; the others are room.
      count: Number of live rows.
    """

    codes: np.ndarray
    ids: np.ndarray
    count: int
    used: int
    _live: np.ndarray | None
    _lookup: Lookup
    _changed: list[np.ndarray] | None
    _changes: int
    _live_is_shared: bool

    def __init__(
        self, codes: np.ndarray, ids: np.ndarray, lazy: bool = False, streamed: bool = False
    ):
        """Starts with checked arrays, which it takes over without a copy.

        Args:
          codes: Packed codes, uint32 [N, words].
          ids: Ids as `as_ids` returns them, [N].
          lazy: Whether to leave the ids unread until they are needed.
          streamed: Whether to look up ids without a table of them in memory.
        """
        self._streamed = streamed
        # The smallest integer that is larger than any id so far; None until it is needed.
        self._next: int | None = None
        self._layout = 0
        self._version = 0
        self._fill(codes, ids)
        if not lazy:
            self._next_id()
            self._lookup.get_ready()

    @classmethod
    def copy_of(cls, codes: np.ndarray, ids: np.ndarray) -> "Rows":
        """Starts with a copy of checked arrays and room for more rows; see `__init__`."""
        rows = cls(codes, ids)
        rows._grow(len(codes))
        return rows

    @property
    def live(self) -> np.ndarray:
        """Whether each row holds a code that was not removed, bool [capacity]."""
        if self._live is None:
            self._live = np.ones(len(self.codes), bool)
        return self._live

    def state(self) -> State:
        """Returns the present state, which later changes leave as it is."""
        live = None if self.count == self.used else self.live
        if live is not None:
            self._live_is_shared = True
        return State(self.codes, self.ids, live, self.used, self.count, self._layout, self._version)

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
        if ids.dtype == object or ids.min() < self._next_id():
            known = ids[self._find(ids) >= 0].tolist()
            if known:
                raise InputError(
                    f"ids: {some(known)} given; allowed: ids that are not in the index yet."
                )
        end = self.used + len(codes)
        if end > len(self.codes):
            self._grow(end)
        rows = np.arange(self.used, end)
        self.codes[rows] = codes
        self.ids[rows] = ids
        self.live[rows] = True
        self._lookup.append(ids, self.ids[: self.used])
        self._next = after_largest(ids, self._next_id())
        self.used = end
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
        if self._live_is_shared and len(rows):
            self._live = self.live.copy()
            self._live_is_shared = False
        self.live[rows] = False
        self.count -= len(rows)
        self._note(rows)
        if 2 * self.count < self.used:
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
        full = self.count == self.used
        return slice(self.used) if full else np.flatnonzero(self.live)

    def changes(self) -> np.ndarray | None:
        """Returns the positions that changed since the last `forget_changes`.

        Returns:
          Positions, int64, ascending; None if all changed, or too many to replace one by one.
        """
        if self._changed is None:
            return None
        return np.unique(np.concatenate([np.empty(0, np.int64), *self._changed]))

    def forget_changes(self) -> None:
        """Begins a new list of changes."""
        self._changed = []
        self._changes = 0

    def _few(self) -> int:
        """Returns the number of changes up to which rows are replaced one by one."""
        return max(_FEW_CHANGES, len(self.codes) // _CHANGES_SHARE)

    def _fill(self, codes: np.ndarray, ids: np.ndarray) -> None:
        self.codes = codes
        self.ids = ids
        self._live = None
        self.count = len(codes)
        self.used = len(codes)
        self._lookup = Lookup(ids, self._streamed)
        self._changed = None
        self._live_is_shared = False
        self._layout += 1

    def _grow(self, min_size: int) -> None:
        size = max(min_size, self.used + max(self.used // _ROOM, _MIN_ROOM))

        def grown(buffer):
            # Zeros that nobody wrote take no memory.
            larger = np.zeros((size, *buffer.shape[1:]), buffer.dtype)
            larger[: self.used] = buffer[: self.used]
            return larger

        # All three are made before any is kept, because memory may run out.
        self.codes, self.ids, self._live = map(grown, (self.codes, self.ids, self.live))
        self._live_is_shared = False

    def _note(self, rows: np.ndarray) -> None:
        """Adds rows to the list of changes, which ends once they are too many."""
        self._version += 1
        if self._changed is not None:
            self._changed.append(rows)
            self._changes += len(rows)
            if self._changes > self._few():
                self._changed = None

    def _find(self, ids: np.ndarray) -> np.ndarray:
        """Finds positions, int64 [M]; -1 for an id that is not in the index."""
        if not self.count or ids.dtype != self.ids.dtype:
            return np.full(len(ids), -1)
        live = None if self.count == self.used else self.live[: self.used]
        return self._lookup.find(ids, self.ids[: self.used], live)

    def _next_id(self) -> int:
        if self._next is None:
            self._next = after_largest(self.ids[: self.used], 0)
        return self._next

    def _default_ids(self, count: int) -> np.ndarray:
        if self.ids.dtype == object:
            raise InputError(
                "ids: none given; allowed: a string per code, because the ids of this index are "
                "strings."
            )
        end = self._next_id() + count
        if end > np.iinfo(np.int64).max + 1:
            raise InputError(
                f"ids: none given; allowed: an integer per code, because fewer than {count} "
                f"integers are left after {self._next_id() - 1}."
            )
        return np.arange(self._next_id(), end, dtype=np.int64)

    def _change_kind(self, ids: np.ndarray) -> None:
        """Prepares an empty index for ids of the other kind."""
        if self.count:
            given, kept = (
                "strings" if array.dtype == object else "integers" for array in (ids, self.ids)
            )
            raise InputError(f"ids: {given} given; allowed: {kept}, as the index has them.")
        self._next = 0
        self._fill(self.codes[:0], np.empty(0, ids.dtype))
