"""Ids of an index: integers or strings, checked and looked up."""

import numbers
from collections.abc import Iterable

import numpy as np

from jhash.errors import InputError

_NAMED = 3


def as_ids(ids, count: int | None = None) -> np.ndarray:
    """Ids as an index keeps them.

    Args:
      ids: Distinct integers or strings, [N].
      count: N, if it is known.

    Returns:
      int64 [N] or, of strings, an object array [N].

    Raises:
      InputError: Another number of ids, other types, or an id that is given twice.
    """
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
        raise InputError(f"ids: given more than once: {some(dict.fromkeys(repeated.tolist()))}.")
    return array


def as_public(ids: np.ndarray) -> np.ndarray:
    """Ids as a caller gets them: int64 as they are, strings as NumPy's str."""
    return ids.astype(str) if ids.dtype == object else ids


def some(ids: Iterable) -> str:
    """Names the first ids and counts the others."""
    ids = list(ids)
    more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    return ", ".join(map(repr, ids[:_NAMED])) + more


def after_greatest(ids: np.ndarray, least: int) -> int:
    """The integer after the greatest of the ids, or `least` if that is greater."""
    return least if ids.dtype == object else max(least, int(ids.max(initial=-1)) + 1)


class Lookup:
    """Finds the rows of ids.

    Ids that ascend, as the default ones do, are looked up by bisection. Others take a dict of the
    living (some 100 MB for each million), made when it is first needed.
    """

    def __init__(self, ids: np.ndarray):
        """For rows with these ids, all of them live."""
        self._ascending, self._places = _ascend(ids), None

    def find(self, wanted: np.ndarray, ids: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Finds the living with the wanted ids.

        Args:
          wanted: As `as_ids` returns them, [M]; of the same kind as `ids`.
          ids: Those of all rows so far, [N], N at least 1.
          live: bool [N].

        Returns:
          Rows int64 [M]; -1 where there is none.
        """
        if self._ascending:
            rows = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
            return np.where((ids[rows] == wanted) & live[rows], rows, -1)
        if self._places is None:
            rows = np.flatnonzero(live)
            self._places = dict(zip(ids[rows].tolist(), rows.tolist(), strict=True))
        return np.array([self._places.get(key, -1) for key in wanted.tolist()], np.int64)

    def append(self, ids: np.ndarray, known: np.ndarray) -> None:
        """Takes note of ids that follow the known ones."""
        self._ascending = self._ascending and _ascend(np.append(known[-1:], ids))
        if self._places is not None:
            rows = range(len(known), len(known) + len(ids))
            self._places.update(zip(ids.tolist(), rows, strict=True))

    def remove(self, ids: np.ndarray) -> None:
        """Forgets ids that are known."""
        if self._places is not None:
            for key in ids.tolist():
                del self._places[key]


def _ascend(ids: np.ndarray) -> bool:
    return ids.dtype != object and bool(np.all(ids[1:] > ids[:-1]))


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
