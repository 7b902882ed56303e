"""Metrics of lookup: what lies within a Hamming radius, whatever its order.

A query that finds nothing within the radius has a precision of 0, the field's convention.
"""

import jax
import numpy as np

from jhash.errors import InputError
from jhash.retrieval.metrics import counts


def precision_within(total: jax.Array, relevant: jax.Array, radius: int) -> np.ndarray:
    """Share of relevant items among those within a Hamming radius ("hash lookup").

    Args:
      total: [Q, bits + 1] items at each distance.
      relevant: [Q, bits + 1] relevant items at each distance.
      radius: Largest distance that counts, 0 to bits.

    Returns:
      float64 [Q]; 0 for a query with nothing within the radius, the field's convention.

    Raises:
      InputError: `radius` is out of range.
    """
    total, relevant = _within(total, relevant, radius)
    return counts.ratio(relevant.sum(axis=1), total.sum(axis=1))


def recall_within(total: jax.Array, relevant: jax.Array, radius: int) -> np.ndarray:
    """Share of all relevant items that lie within a Hamming radius; see `precision_within`."""
    found = _within(total, relevant, radius)[1].sum(axis=1)
    return counts.ratio(found, counts.as_histograms(total, relevant)[1].sum(axis=1))


def f_measure(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Harmonic mean `2 P R / (P + R)` of precision and recall; 0 where both are 0."""
    precision, recall = np.asarray(precision, np.float64), np.asarray(recall, np.float64)
    return counts.ratio(2 * precision * recall, precision + recall)


def precision_recall_curve(total: jax.Array, relevant: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall at every Hamming radius 0..bits, averaged over the queries.

    The macro average of hash-lookup curves: each query counts alike, and at a radius within which
    it finds nothing its precision is 0 (so curves of long codes may rise at first).

    Args:
      total: [Q, bits + 1] items at each distance.
      relevant: [Q, bits + 1] relevant items at each distance.

    Returns:
      (precision, recall), both float64 [bits + 1], by radius.
    """
    total, relevant = counts.as_histograms(total, relevant)
    found = np.cumsum(relevant, axis=1)
    precision = counts.ratio(found, np.cumsum(total, axis=1))
    recall = counts.ratio(found, found[:, -1:])
    return precision.mean(axis=0), recall.mean(axis=0)


def _within(total: jax.Array, relevant: jax.Array, radius: int) -> tuple[np.ndarray, np.ndarray]:
    total, relevant = counts.as_histograms(total, relevant)
    if not 0 <= radius < total.shape[1]:
        raise InputError(f"radius: got {radius}; allowed are 0 to {total.shape[1] - 1}.")
    return total[:, : radius + 1], relevant[:, : radius + 1]
