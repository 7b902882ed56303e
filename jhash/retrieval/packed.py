"""Packed codes: what they are, checks of them, and their bytes; imported without JAX.

Letters in the shapes: N codes, W = ceil(L / 32) words of a code of L bits.
"""

import math
import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.limits import MAX_BITS, WORD_BITS
from jhash.system import text

# Arrays of JAX or of NumPy, which the functions of this package take alike.
if TYPE_CHECKING:
    import jax

    Array = jax.Array | np.ndarray
else:
    Array = np.ndarray


def check_bits(bits: int) -> int:
    """Returns a code length; raises InputError unless it is an integer, 1 to 512."""
    if not is_whole(bits) or not 1 <= bits <= MAX_BITS:
        raise InputError(f"bits: {shown(bits)} given; allowed: 1 to {MAX_BITS}.")
    return int(bits)


def is_whole(value: Any) -> bool:
    """Returns whether a value is an integer of any type; True, 8.0 and "8" are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Returns whether a value is a real number of any type, and finite; True and "8" are none."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    # Whole numbers may be beyond the range of floating point.
    return real and (is_whole(value) or math.isfinite(value))


def shown(value: Any) -> str:
    """Returns a value of any type as a message can show it, in one line and not long."""
    try:
        return text.shortened(" ".join(repr(value).split()))
    except ValueError:  # Python writes no integers of thousands of digits.
        return f"a huge {type(value).__name__}"


def check_packed(name: str, codes: Array, bits: int | None = None) -> None:
    """Checks that an array holds packed codes, by its dtype and shape.

    Args:
      name: Name of the argument, for the message.
      codes: The array to check, uint32 [N, words].
      bits: Code length that the words must hold; None allows any.

    Raises:
      InputError: The array does not hold packed codes, or not of that length.
    """
    if not hasattr(codes, "dtype") or not hasattr(codes, "ndim"):
        raise InputError(
            f"{name}: {type(codes).__name__} given; allowed: packed codes, uint32 [N, words], as "
            "pack_codes returns them."
        )
    if codes.ndim != 2 or codes.dtype != np.uint32:
        raise InputError(
            f"{name}: {codes.dtype}{list(codes.shape)} given; allowed: packed codes, uint32 "
            "[N, words], as pack_codes returns them."
        )
    words = codes.shape[1]
    max_words = MAX_BITS // WORD_BITS
    if not 1 <= words <= max_words:
        raise InputError(f"{name}: {words} words per code given; allowed: 1 to {max_words}.")
    if bits is not None:
        needed = -(-check_bits(bits) // WORD_BITS)
        if words != needed:
            raise InputError(
                f"{name}: {words} words per code given; allowed: {needed}, because {bits} bits "
                f"take {needed} words of {WORD_BITS}."
            )


def code_bytes(codes_NxW: np.ndarray, bits: int) -> np.ndarray:
    """Returns the bytes of packed codes that are in use; a view where that is possible.

    Args:
      codes_NxW: Packed, uint32 [N, ceil(bits / 32)].
      bits: Code length.

    Returns:
      uint8 [N, ceil(bits / 8)]: bit j of a code is bit j % 8 of byte j // 8.
    """
    words = np.ascontiguousarray(codes_NxW, "<u4")
    return words.view(np.uint8)[:, : -(-bits // 8)]
