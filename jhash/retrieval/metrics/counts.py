"""Checks and ratios of distance histograms, which all metrics share.

`total` and `relevant` are the two results of `distance_histograms`: [Q, bits + 1] counts at
distances 0..bits.
"""

import math

import jax
import numpy as np

from jhash.errors import InputError


def as_histograms(total: jax.Array, relevant: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """Checks two histograms; returns both as int64 [Q, bits + 1].

    Raises:
      InputError: Their shapes differ, or they have not two axes.
    """
    total, relevant = np.asarray(total), np.asarray(relevant)
    if total.ndim != 2 or total.shape != relevant.shape:
        raise InputError(
            f"relevant: got shape {relevant.shape}, and {total.shape} in total; both must be "
            "[Q, bits + 1], as distance_histograms returns them."
        )
    return total.astype(np.int64), relevant.astype(np.int64)


def database_size(total: np.ndarray) -> int:
    """The number of items that every query's histogram counts; 0 without queries.

    Raises:
      InputError: Queries count different numbers of items.
    """
    sizes = total.sum(axis=1)
    if len(sizes) and sizes.min() != sizes.max():
        raise InputError(
            f"total: rows sum to {sizes.min()} up to {sizes.max()}; every query must have the "
            "same database."
        )
    return int(sizes[0]) if len(sizes) else 0


def check_rank(name: str, rank: int, size: int) -> None:
    """Raises InputError unless the rank is 1 to the database's size; `name` is the argument."""
    if not 1 <= rank <= size:
        raise InputError(f"{name}: got {rank}; allowed are 1 to {size}, the database's size.")


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divides; 0 where the denominator is 0."""
    shape = np.broadcast_shapes(np.shape(numerator), np.shape(denominator))
    return np.divide(numerator, denominator, out=np.zeros(shape), where=np.asarray(denominator) > 0)


def mean(values: np.ndarray) -> float:
    """The mean over the queries, float64 [Q]; NaN without queries."""
    return float(np.mean(values)) if len(values) else math.nan
