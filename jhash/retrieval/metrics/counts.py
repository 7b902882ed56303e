"""Checks and ratios of distance histograms, which the modules of metrics share.

`total` and `relevant` are the two results of `distance_histograms`. Letters in the shapes: Q
queries, D = bits + 1 distances, 0 to bits.
"""

import math

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.codes import Array


def as_histograms(total: Array, relevant: Array) -> tuple[np.ndarray, np.ndarray]:
    """Returns two histograms as NumPy arrays, int64 [Q, bits + 1] each.

    Raises:
      InputError: The shapes differ, or the arrays do not have two axes.
    """
    total_QxD, relevant_QxD = np.asarray(total), np.asarray(relevant)
    if total_QxD.ndim != 2 or total_QxD.shape != relevant_QxD.shape:
        raise InputError(
            f"relevant: shape {relevant_QxD.shape} given, and {total_QxD.shape} for total; "
            "allowed: [Q, bits + 1] for both, as distance_histograms returns them."
        )
    return total_QxD.astype(np.int64), relevant_QxD.astype(np.int64)


def database_size(total_QxD: np.ndarray) -> int:
    """Returns the number of items that each query's histogram counts; 0 without queries.

    Raises:
      InputError: The histograms of two queries count different numbers of items.
    """
    sizes_Q = total_QxD.sum(axis=1)
    if len(sizes_Q) and sizes_Q.min() != sizes_Q.max():
        raise InputError(
            f"total: rows that sum to {sizes_Q.min()} up to {sizes_Q.max()} given; allowed: rows "
            "with the same sum, because all queries share one database."
        )
    return int(sizes_Q[0]) if len(sizes_Q) else 0


def check_rank(name: str, rank: int, size: int) -> None:
    """Checks that a rank is between 1 and the size of the database.

    Args:
      name: Name of the argument, for the message.
      rank: The rank to check.
      size: Number of items in the database.

    Raises:
      InputError: The rank is out of range.
    """
    if not 1 <= rank <= size:
        raise InputError(f"{name}: {rank} given; allowed: 1 to {size}, the size of the database.")


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divides elementwise; the result is 0 where the denominator is not positive."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    return np.divide(numerator, denominator, out=np.zeros(shape), where=np.asarray(denominator) > 0)


def mean(values_Q: np.ndarray) -> float:
    """Computes the mean over the queries; NaN without queries."""
    return float(np.mean(values_Q)) if len(values_Q) else math.nan
