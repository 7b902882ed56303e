"""Thresholds at the median, which make each bit 1 for half of the samples."""

import numpy as np


def center_at_median(values: np.ndarray) -> np.ndarray:
    """Shifts every column so that half of its values are positive, as far as ties allow.

    Args:
      values: float [N, bits].

    Returns:
      float32 [N, bits]: the values minus the column's median. Where many values equal the median,
      the next lower value is subtracted instead if the halves are then more equal.

    References:
      Zhang et al. 2010, Self-Taught Hashing, set the threshold of eigenvectors at the median: of
      all thresholds it gives a bit the largest entropy.
    """
    values = np.asarray(values, np.float64)  # In float32 a small difference could become 0.
    median = np.median(values, axis=0)
    above, below = (values > median).sum(0), (values < median).sum(0)
    lower = np.where(values < median, values, -np.inf).max(0, initial=-np.inf)
    return (values - np.where(above >= below, median, lower)).astype(np.float32)
