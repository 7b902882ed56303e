"""Collapse of codes: bits that are constant, and bits that repeat another bit."""

import numpy as np


def count_lost_bits(bits_NxL: np.ndarray) -> dict[str, int]:
    """Counts the bits that add nothing to a code, and the codes that are distinct.

    Args:
      bits_NxL: The bits of N codes, bool or 0/1.

    Returns:
      A dict of three counts. `constant_bits` counts the bits that have the same value in all codes.
      `duplicate_bits` counts those of the others that equal an earlier bit, or its opposite, in all
      codes. `distinct_codes` counts the distinct codes.
    """
    bits_NxL = np.asarray(bits_NxL, bool)
    varying = bits_NxL[:, bits_NxL.any(0) & ~bits_NxL.all(0)]
    # Flipped so that each bit is False in the first code, a bit and its opposite are equal.
    columns = np.packbits((varying ^ varying[:1]).T, axis=1)
    return {
        "constant_bits": bits_NxL.shape[1] - varying.shape[1],
        "duplicate_bits": len(columns) - len(np.unique(columns, axis=0)),
        "distinct_codes": len(np.unique(np.packbits(bits_NxL, axis=1), axis=0)),
    }
