"""Averages per category: queries of each category are averaged, and then the categories.

A query with several labels belongs to each of its categories. A query without a label belongs to
none, so it counts in the averages over queries alone. A category without queries is left out.

Letters in the shapes: Q queries, C categories, P pairs of a query and one of its categories.
"""

import math

import jax
import numpy as np

from jhash.errors import InputError
from jhash.retrieval.metrics.histograms import distance_histograms
from jhash.retrieval.packed import Array


def category_mean(values: Array, q_labels: Array) -> float:
    """Computes the mean over the categories of the means over the queries of each category.

    Args:
      values: A number per query, [Q], such as `average_precision` returns them.
      q_labels: Labels of the queries: integer class ids [Q], or 0/1 [Q, C].

    Returns:
      The mean; NaN if no query has a label.

    Raises:
      InputError: The labels do not match the values.
    """
    values_Q = np.asarray(values, np.float64)
    query_P, category_P = _pairs(q_labels, len(values_Q))
    if not len(category_P):
        return math.nan
    # Ids of classes need not begin at 0 or follow one another.
    place_P = np.unique(category_P, return_inverse=True)[1]
    return float(np.mean(np.bincount(place_P, values_Q[query_P]) / np.bincount(place_P)))


def category_histograms(
    q_codes: Array, db_codes: Array, q_labels: Array, db_labels: Array, bits: int
) -> tuple[jax.Array, jax.Array, np.ndarray]:
    """Counts items and relevant items for each query and each of its categories.

    Only the items of that one category are relevant, not those that share another label.

    Args:
      q_codes: Packed codes of the queries, uint32 [Q, ceil(bits / 32)].
      db_codes: Packed codes of the database, uint32 [N, ceil(bits / 32)].
      q_labels: Labels of the queries, 0/1 [Q, C].
      db_labels: Labels of the database, 0/1 [N, C].
      bits: Code length, 1 to 512.

    Returns:
      (total, relevant, categories): two int32 [P, bits + 1], as of `distance_histograms`, and the
      category of each pair, int64 [P].

    Raises:
      InputError: As `distance_histograms` does, and for labels that are class ids.
    """
    if np.ndim(q_labels) != 2:
        raise InputError(f"q_labels: shape {np.shape(q_labels)} given; allowed: 0/1 [Q, C].")
    query_P, category_P = _pairs(q_labels, len(q_codes))
    one_hot_PxC = np.zeros((len(category_P), np.shape(q_labels)[1]), np.uint8)
    one_hot_PxC[np.arange(len(category_P)), category_P] = 1
    codes_PxW = np.asarray(q_codes)[query_P]
    return *distance_histograms(codes_PxW, db_codes, one_hot_PxC, db_labels, bits), category_P


def _pairs(q_labels: Array, queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the queries and the categories of all pairs, int64 [P] each, in order of queries."""
    labels = np.asarray(q_labels)
    if labels.ndim not in (1, 2) or len(labels) != queries:
        raise InputError(
            f"q_labels: shape {labels.shape} given; allowed: [Q] or [Q, C], where Q = {queries}, "
            "the number of queries."
        )
    if labels.ndim == 1:
        return np.arange(queries), labels
    query_P, category_P = np.nonzero(labels)
    return query_P, category_P
