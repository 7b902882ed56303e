"""Checks of what an index is given."""

import numbers

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.codes import WORD_BITS, check_packed


def as_codes(name: str, codes, bits: int) -> np.ndarray:
    """Packed codes as a NumPy array, without a copy where that is possible.

    Args:
      name: What an error calls them.
      codes: Packed, uint32 [N, ceil(bits / 32)].
      bits: Code length.

    Returns:
      The same, uint32.

    Raises:
      InputError: Not codes of that length, or bits set beyond it.
    """
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


def as_whole(name: str, value, least: int, greatest: int, what: str) -> int:
    """An integer within bounds, as an int.

    Args:
      name: What an error calls it.
      value: Any integer type.
      least: The least that is allowed.
      greatest: The greatest that is allowed.
      what: What the error says of the bounds.

    Returns:
      The value.

    Raises:
      InputError: No integer, or out of bounds.
    """
    if not isinstance(value, numbers.Integral) or not least <= value <= greatest:
        raise InputError(f"{name}: got {value!r}; allowed are {least} to {greatest}, {what}.")
    return int(value)
