"""Metrics of lookup: precision and recall within a Hamming radius, whatever the order there.

A query with no item within the radius has a precision of 0, as is the convention of the field. A
query without relevant items in the database has a recall of 0. No query is left out.

Letters in the shapes: Q queries, D = bits + 1 distances, 0 to bits.
"""

import numpy as np

from jhash.retrieval.checks import as_whole
from jhash.retrieval.metrics import counts
from jhash.retrieval.packed import Array


def precision_within(total: Array, relevant: Array, radius: int) -> np.ndarray:
    """Computes the share of relevant items among those within a Hamming radius ("hash lookup").

    Args:
      total: Number of items at each distance, [Q, bits + 1].
      relevant: Number of relevant items at each distance, [Q, bits + 1].
      radius: The largest distance that counts as within, 0 to bits.

    Returns:
      float64 [Q]; 0 for a query with no item within the radius, as is the convention of the field.

    Raises:
      InputError: `radius` is out of range, or the shapes of the histograms are wrong.
    """
    total_QxR, relevant_QxR = _within(total, relevant, radius)
    return counts.ratio(relevant_QxR.sum(axis=1), total_QxR.sum(axis=1))


def recall_within(total: Array, relevant: Array, radius: int) -> np.ndarray:
    """Computes the share of all relevant items that lie within a Hamming radius.

    Args:
      total: Number of items at each distance, [Q, bits + 1].
      relevant: Number of relevant items at each distance, [Q, bits + 1].
      radius: The largest distance that counts as within, 0 to bits.

    Returns:
      float64 [Q]; 0 for a query without a relevant item.

    Raises:
      InputError: `radius` is out of range, or the shapes of the histograms are wrong.
    """
    _, relevant_QxR = _within(total, relevant, radius)
    _, relevant_QxD = counts.as_histograms(total, relevant)
    return counts.ratio(relevant_QxR.sum(axis=1), relevant_QxD.sum(axis=1))


def f_measure(precision: float | np.ndarray, recall: float | np.ndarray) -> np.ndarray:
    """Computes the harmonic mean `2 P R / (P + R)` of precision and recall; 0 where both are 0."""
    precision, recall = np.asarray(precision, np.float64), np.asarray(recall, np.float64)
    return counts.ratio(2 * precision * recall, precision + recall)


def precision_recall_curve(total: Array, relevant: Array) -> tuple[np.ndarray, np.ndarray]:
    """Computes precision and recall at each Hamming radius, averaged over the queries.

    This is the macro average of the curves of hash lookup: all queries have the same weight. At a
    radius within which a query has no item, its precision is 0. So the curves of long codes may
    rise at first.

    Args:
      total: Number of items at each distance, [Q, bits + 1].
      relevant: Number of relevant items at each distance, [Q, bits + 1].

    Returns:
      (precision, recall), both float64 [bits + 1], by radius from 0 to bits; NaN without queries.

    Raises:
      InputError: The shapes of the histograms are wrong.
    """
    total_QxD, relevant_QxD = counts.as_histograms(total, relevant)
    relevant_within_QxD = np.cumsum(relevant_QxD, axis=1)
    precision_QxD = counts.ratio(relevant_within_QxD, np.cumsum(total_QxD, axis=1))
    recall_QxD = counts.ratio(relevant_within_QxD, relevant_within_QxD[:, -1:])
    if not len(total_QxD):
        return np.full(total_QxD.shape[1], np.nan), np.full(total_QxD.shape[1], np.nan)
    return precision_QxD.mean(axis=0), recall_QxD.mean(axis=0)


def _within(total: Array, relevant: Array, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts both histograms after the radius: int64 [Q, R] each, R = radius + 1."""
    total_QxD, relevant_QxD = counts.as_histograms(total, relevant)
    bits = total_QxD.shape[1] - 1
    radius = as_whole("radius", radius, 0, bits, "the code length")
    return total_QxD[:, : radius + 1], relevant_QxD[:, : radius + 1]
