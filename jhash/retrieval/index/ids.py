"""Ids of an index, integers or strings: checks and look-up."""

import numbers
import re
from collections.abc import Iterable, Sequence

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.packed import Array, shown
from jhash.system import mapped

# Ids as callers give them.
Ids = Array | Sequence[int] | Sequence[str]

# Number of ids that a message names.
_NAMED = 3
# Number of ids that are read at a time where all are read.
_PIECE = 1 << 22


def as_ids(ids: Ids, count: int | None = None) -> np.ndarray:
    """Returns ids in the form in which an index keeps them.

    Args:
      ids: Distinct integers or strings, [N].
      count: Number of ids that there must be; None for any.

    Returns:
      int64 [N], or an object array [N] of strings.

    Raises:
      InputError: The number of ids is wrong, they have other types, or an id is given twice.
    """
    # Passed to np.asarray, a list of integers and strings would become an array of strings.
    array = np.asarray(ids) if hasattr(ids, "dtype") else np.array(ids, dtype=object)
    if array.ndim != 1 or (count is not None and len(array) != count):
        wanted = "a list of ids" if count is None else f"one id per code, [{count}]"
        raise InputError(f"ids: shape {list(array.shape)} given; allowed: {wanted}.")
    if array.dtype.kind in "iu" and np.can_cast(array.dtype, np.int64):
        array = array.astype(np.int64, copy=False)
    else:
        array = _from_objects(array.tolist())
    ordered = np.sort(array, kind="stable")
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(repeated):
        names = some(dict.fromkeys(repeated.tolist()))
        raise InputError(f"ids: {names} given more than once; allowed: distinct ids.")
    return array


def as_public(ids: np.ndarray) -> np.ndarray:
    """Returns ids in the form in which a caller gets them: int64, or strings as NumPy's str."""
    return ids.astype(str) if ids.dtype == object else ids


def some(ids: Iterable) -> str:
    """Returns a text with the first three ids and the number of the others."""
    ids = list(ids)
    more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
    return ", ".join(map(shown, ids[:_NAMED])) + more


def parse(texts: Sequence[str], kind: str) -> np.ndarray:
    """Converts texts to ids.

    Args:
      texts: Ids as somebody typed them, [M].
      kind: `"int64"` or `"string"`.

    Returns:
      int64 or str [M].

    Raises:
      InputError: The ids are integers, and a text is none.
    """
    if kind == "string":
        return np.array(texts)
    try:
        return np.array([_parse_integer(text) for text in texts], np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"texts: {shown(list(texts))} given; allowed: integers, as the ids of this index are."
        ) from error


def _parse_integer(text: str) -> int:
    if not re.fullmatch("[+-]?[0-9]+", text):
        raise ValueError  # Python would take 1_0 for 10.
    return int(text)


def after_largest(ids: np.ndarray, minimum: int) -> int:
    """Returns the integer after the largest id, but no less than a minimum."""
    return minimum if ids.dtype == object else max(minimum, int(ids.max(initial=-1)) + 1)


class Lookup:
    """Look-up of the rows that have given ids.

    Ascending ids, as the default ones are, are looked up by bisection. Others need a dict of the
    live ids (some 100 MB per million), which is made when it is first needed. Without it, all ids
    are read at each look-up.
    """

    def __init__(self, ids: np.ndarray, streamed: bool = False):
        """Starts with rows that have these ids and are all live; looks at them when it must.

        Args:
          ids: Ids of the rows, [N].
          streamed: Whether to do without the dict, if the ids are integers.
        """
        self._streamed = streamed
        self._ids: np.ndarray | None = ids
        self._ascending = False
        self._row_of: dict | None = None

    def find(self, wanted: np.ndarray, ids: np.ndarray, live: np.ndarray | None) -> np.ndarray:
        """Finds the live rows that have the wanted ids.

        Args:
          wanted: Ids as `as_ids` returns them, [M]; of the same kind as `ids`.
          ids: Ids of all rows so far, [N], N at least 1.
          live: Whether each row is live, bool [N]; None for all.

        Returns:
          Rows int64 [M]; -1 for an id that no live row has.
        """
        self.get_ready()
        if self._ascending:
            rows = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
            has_id = ids[rows] == wanted
            return np.where(has_id if live is None else has_id & live[rows], rows, -1)
        if self._streamed and ids.dtype != object:
            return _find_in_pieces(wanted, ids, live)
        if self._row_of is None:
            rows = np.arange(len(ids)) if live is None else np.flatnonzero(live)
            self._row_of = dict(zip(ids[rows].tolist(), rows.tolist(), strict=True))
        return np.array([self._row_of.get(key, -1) for key in wanted.tolist()], np.int64)

    def append(self, ids: np.ndarray, known: np.ndarray) -> None:
        """Adds the ids of rows that follow the known ones.

        Args:
          ids: Ids of the new rows, [M].
          known: Ids of all rows before them, [N].
        """
        self.get_ready()
        self._ascending = self._ascending and _ascend(np.append(known[-1:], ids))
        if self._row_of is not None:
            rows = range(len(known), len(known) + len(ids))
            self._row_of.update(zip(ids.tolist(), rows, strict=True))

    def remove(self, ids: np.ndarray) -> None:
        """Removes ids, each of which a live row has."""
        if self._row_of is not None:
            for key in ids.tolist():
                del self._row_of[key]

    def get_ready(self) -> None:
        """Looks at the first ids, unless that is done."""
        if self._ids is not None:
            self._ascending = _ascend(self._ids)
            self._ids = None


def _ascend(ids: np.ndarray) -> bool:
    return ids.dtype != object and all(
        np.all(piece[1:] > piece[:-1]) for _, piece in _pieces(ids, overlap=1)
    )


def _find_in_pieces(wanted, ids, live):
    """Finds the live rows that have the wanted ids, by a look at all; see `Lookup.find`."""
    rows = np.full(len(wanted), -1)
    order = np.argsort(wanted)
    for start, piece in _pieces(ids):
        places = np.flatnonzero(np.isin(piece, wanted))
        if live is not None:
            places = places[live[start + places]]
        rows[order[np.searchsorted(wanted, piece[places], sorter=order)]] = start + places
    return rows


def _pieces(ids, overlap=0):
    """Yields (first row, ids) of pieces, whose pages are dropped afterwards if a file has them."""
    for start in range(0, len(ids), _PIECE):
        piece = ids[start : start + _PIECE + overlap]
        yield start, piece
        mapped.drop(piece)


def _from_objects(values: list) -> np.ndarray:
    """Returns a list of integers as int64 [N], and a list of strings as an object array [N]."""
    if all(isinstance(value, numbers.Integral) and not isinstance(value, bool) for value in values):
        try:
            return np.array([int(value) for value in values], np.int64)
        except OverflowError as error:
            raise InputError("ids: an integer beyond 64 bits given; allowed: int64.") from error
    if not all(isinstance(value, str) for value in values):
        kinds = " and ".join(sorted({type(value).__name__ for value in values}))
        raise InputError(f"ids: {kinds} given; allowed: integers only, or strings only.")
    for value in values:
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"ids: {shown(value)} given; allowed: Unicode text.") from error
        # NumPy's strings lose NUL characters at the end.
        if "\0" in value:
            raise InputError(f"ids: {shown(value)} given; allowed: text without a NUL character.")
    array = np.empty(len(values), object)
    array[:] = values
    return array
