"""Thresholds at the median, for bits that are as often 1 as 0."""

import numpy as np


def center_at_median(values: np.ndarray) -> np.ndarray:
    """Moves every column so that half of its values are positive, or as near to it as ties allow.

    Args:
      values: float [N, bits].

    Returns:
      float32 [N, bits]: values minus a column's median. Where too many values equal the median for
      it to part them, the next lower value is subtracted instead if that parts them better.

    References:
      Zhang et al. 2010, Self-Taught Hashing, threshold eigenvectors at the median: of all
      thresholds it leaves a bit the largest entropy.
    """
    values = np.asarray(values, np.float64)  # So that no difference is rounded to 0.
    median = np.median(values, axis=0)
    above, below = (values > median).sum(0), (values < median).sum(0)
    lower = np.where(values < median, values, -np.inf).max(0, initial=-np.inf)
    return (values - np.where(above >= below, median, lower)).astype(np.float32)
