"""Collapse of codes: bits that carry no information, or none of their own."""

import numpy as np


def count_lost_bits(bits_NxL: np.ndarray) -> dict[str, int]:
    """Counts what is lost of a code's length.

    Args:
      bits_NxL: bool or 0/1.

    Returns:
      `constant_bits`: bits of one value for all; `duplicate_bits`: others that equal an earlier bit
      or its opposite for all; `distinct_codes`.
    """
    bits_NxL = np.asarray(bits_NxL, bool)
    varying = bits_NxL[:, bits_NxL.any(0) & ~bits_NxL.all(0)]
    # A bit and its opposite as one: both start with False.
    columns = np.packbits((varying ^ varying[:1]).T, axis=1)
    return {
        "constant_bits": bits_NxL.shape[1] - varying.shape[1],
        "duplicate_bits": len(columns) - len(np.unique(columns, axis=0)),
        "distinct_codes": len(np.unique(np.packbits(bits_NxL, axis=1), axis=0)),
    }
