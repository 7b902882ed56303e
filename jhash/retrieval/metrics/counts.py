"""Checks and ratios of distance histograms, which the modules of metrics share.

`total` and `relevant` are the two results of `distance_histograms`. Letters in the shapes: Q
queries, D = bits + 1 distances, 0 to bits.
"""

import math

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.packed import Array, is_whole, shown


def as_histograms(total: Array, relevant: Array) -> tuple[np.ndarray, np.ndarray]:
    """Returns two histograms as NumPy arrays, int64 [Q, bits + 1] each.

    Raises:
      InputError: The arrays are not two histograms of whole numbers of the same shape, or count
        more relevant items than items.
    """
    total_QxD, relevant_QxD = np.asarray(total), np.asarray(relevant)
    if total_QxD.ndim != 2 or total_QxD.shape != relevant_QxD.shape or total_QxD.shape[1] < 2:
        raise InputError(
            f"relevant: shape {relevant_QxD.shape} given, and {total_QxD.shape} for total; "
            "allowed: [Q, bits + 1] for both, as distance_histograms returns them."
        )
    for name, counts_QxD in ("total", total_QxD), ("relevant", relevant_QxD):
        if not np.issubdtype(counts_QxD.dtype, np.integer):
            raise InputError(f"{name}: {counts_QxD.dtype} given; allowed: integers.")
    wrong_QxD = (relevant_QxD < 0) | (relevant_QxD > total_QxD)
    if wrong_QxD.any():
        query, distance = np.argwhere(wrong_QxD)[0]
        raise InputError(
            f"relevant: {relevant_QxD[query, distance]} of {total_QxD[query, distance]} items "
            f"given for query {query} at distance {distance}; allowed: 0 to the number of items."
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


def check_rank(name: str, rank: int, total_QxD: np.ndarray) -> None:
    """Checks that a rank is between 1 and the size of the database, as far as there are queries.

    Args:
      name: Name of the argument, for the message.
      rank: The rank to check.
      total_QxD: Number of items at each distance. Without queries it does not tell the size.

    Raises:
      InputError: The rank is out of range, or the database is empty.
    """
    size = database_size(total_QxD)
    if len(total_QxD) and size == 0:
        raise empty_database()
    last = size if len(total_QxD) else math.inf
    if not is_whole(rank) or not 1 <= rank <= last:
        words = f"1 to {size}, the size of the database" if len(total_QxD) else "1 or more"
        raise InputError(f"{name}: {shown(rank)} given; allowed: {words}.")


def empty_database() -> InputError:
    """Returns the error for metrics of ranks in an empty database."""
    return InputError("total: an empty database given; allowed: one item or more, to be ranked.")


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divides elementwise; the result is 0 where the denominator is not positive."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    return np.divide(numerator, denominator, out=np.zeros(shape), where=np.asarray(denominator) > 0)


def mean(values_Q: np.ndarray) -> float:
    """Computes the mean over the queries; NaN without queries."""
    return float(np.mean(values_Q)) if len(values_Q) else math.nan
