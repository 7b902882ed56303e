"""Checks of the arguments of searches and of the index."""

from typing import Any

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.limits import WORD_BITS
from jhash.retrieval.packed import Array, check_packed, is_whole, shown
from jhash.system import mapped

# Rows that are looked at between two drops of a mapped file's pages.
_ROWS = 1 << 22


def as_codes(name: str, codes: Array, bits: int) -> np.ndarray:
    """Returns packed codes as a NumPy array, without a copy where that is possible.

    Args:
      name: Name of the argument, for the message.
      codes: Packed codes, uint32 [N, ceil(bits / 32)].
      bits: Code length.

    Returns:
      The same codes, uint32 [N, ceil(bits / 32)].

    Raises:
      InputError: The array does not hold packed codes of that length, or a code has an unused bit
        that is set.
    """
    codes = codes if isinstance(codes, np.ndarray) else _as_array(name, codes)
    check_packed(name, codes, bits)
    unused = -bits % WORD_BITS
    if not unused:
        return codes
    # In pieces, because the codes may be a file that is larger than memory.
    for start in range(0, len(codes), _ROWS):
        rows = codes[start : start + _ROWS]
        beyond = rows[:, -1] >= np.uint64(1 << (WORD_BITS - unused))
        if beyond.any():
            row = start + int(np.argmax(beyond))
            raise InputError(
                f"{name}: row {row}, with bits set beyond the {bits} of a code, given; allowed: "
                "codes whose unused bits are 0."
            )
        mapped.drop(rows)
    return codes


def _as_array(name: str, codes: Array) -> np.ndarray:
    try:
        return np.asarray(codes)
    except ValueError as error:
        raise InputError(
            f"{name}: rows of unequal lengths given; allowed: packed codes, uint32 [N, words]."
        ) from error


def as_whole(name: str, value: Any, min_value: int, max_value: int, bounds: str) -> int:
    """Returns an integer within bounds as an int.

    Args:
      name: Name of the argument, for the message.
      value: The value to check, of any integer type.
      min_value: The smallest value that is allowed.
      max_value: The largest value that is allowed.
      bounds: Meaning of the bounds, for the message, such as "the code length".

    Returns:
      The value.

    Raises:
      InputError: The value is not an integer, or it is out of bounds.
    """
    if not is_whole(value) or not min_value <= int(value) <= max_value:
        raise InputError(
            f"{name}: {shown(value)} given; allowed: {min_value} to {max_value}, {bounds}."
        )
    return int(value)


def check_queries(queries: Array, name: str, database: Array) -> None:
    """Checks that queries and a database hold packed codes with the same number of words.

    Args:
      queries: Packed queries, uint32 [Q, words].
      name: Name of the argument that holds the database, for the message.
      database: Packed database, uint32 [N, words].

    Raises:
      InputError: One of them does not hold packed codes, or the numbers of words differ.
    """
    check_packed("queries", queries)
    check_packed(name, database)
    if queries.shape[1] != database.shape[1]:
        raise InputError(
            f"queries: {queries.shape[1]} words per code given; allowed: {database.shape[1]}, as "
            f"many as in {name}."
        )
