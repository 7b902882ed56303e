"""Retrieval metrics from distance histograms: exact expectations over random orders of ties.

Hamming ranking ties all the time, and the order that a sort leaves ties in can move the MAP of a
trained network's codes by several points. So every metric of a ranking is the mean over all orders
of the items within each distance, computed in closed form, in float64, on the host; but
`precision_at_recall` takes the mean of the rank, not of its inverse.

`total` and `relevant` are the two results of `distance_histograms`: [Q, bits + 1] counts at
distances 0..bits. Queries without any relevant item count 0 everywhere; none is dropped.
"""

import math

import jax
import numpy as np
from scipy.special import gammaln

from jhash.errors import InputError
from jhash.retrieval.metrics import counts
from jhash.retrieval.metrics.histograms import distance_histograms

# Queries whose cut group is expanded at a time, which bounds memory.
_CUT_BLOCK = 1024


def average_precision(total: jax.Array, relevant: jax.Array, at: int | None = None) -> np.ndarray:
    """Average precision of every query, the expectation over random orders of ties.

    A group of n items, p of them relevant, that follows N items, A of them relevant, adds

      `S = p/n * (b n + (A + 1 - b (N + 1)) (H(N + n) - H(N)))`, `b = (p - 1) / (n - 1)`

    to the expected sum of precisions at relevant ranks (b = 0 when n = 1; H: harmonic number).
    Over the full ranking, AP is that sum over all groups, divided by the relevant items.

    AP@k divides by the relevant items *retrieved* in the top k, as the hashing papers do (others
    divide by min(k, all relevant)). When rank k cuts a group and takes t of its n items, the number
    x of relevant ones among them is hypergeometric, and given x these are placed uniformly:
    `AP@k = sum_x P(x) (S_before + S(t, x)) / (A + x)`.

    Args:
      total: [Q, bits + 1] items at each distance.
      relevant: [Q, bits + 1] relevant items at each distance.
      at: k, the ranks that count, 1 to N; None for all.

    Returns:
      float64 [Q]; 0 for a query without a relevant item (in the top k).

    Raises:
      InputError: `at` is out of range, or the histograms are not histograms.
    """
    total, relevant = counts.as_histograms(total, relevant)
    size = counts.database_size(total)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, size + 1))])
    if at is not None:
        counts.check_rank("at", at, size)
    before = np.cumsum(total, axis=1) - total
    relevant_before = np.cumsum(relevant, axis=1) - relevant
    sums = _expected_sum(total, relevant, before, relevant_before, harmonic)
    if at is None:
        return counts.ratio(sums.sum(axis=1), relevant.sum(axis=1))

    whole = before + total <= at
    sums = np.where(whole, sums, 0.0).sum(axis=1)
    found = np.where(whole, relevant, 0).sum(axis=1)
    result = counts.ratio(sums, found)
    taken = at - np.where(whole, total, 0).sum(axis=1)
    cut = np.flatnonzero(taken > 0)
    group = np.argmin(whole, axis=1)  # The first distance that the top k does not exhaust.
    for rows in np.split(cut, np.arange(_CUT_BLOCK, len(cut), _CUT_BLOCK)):
        n, p = total[rows, group[rows]], relevant[rows, group[rows]]
        t = taken[rows]
        x, probability = _relevant_taken(n, p, t)
        t, found_before = t[:, None], found[rows, None]
        inside = _expected_sum(t, x, at - t, found_before, harmonic)
        values = counts.ratio(sums[rows, None] + inside, found_before + x)
        result[rows] = np.sum(probability * values, axis=1)
    return result


def mean_average_precision(
    q_codes: jax.Array,
    db_codes: jax.Array,
    q_labels: jax.Array,
    db_labels: jax.Array,
    bits: int,
    at: int | None = None,
) -> float:
    """The mean of `average_precision` over all queries, those without relevant items included.

    Args:
      q_codes: Packed queries, uint32 [Q, ceil(bits / 32)].
      db_codes: Packed database, uint32 [N, ceil(bits / 32)].
      q_labels: Integer class ids [Q], or 0/1 [Q, C].
      db_labels: Integer class ids [N], or 0/1 [N, C].
      bits: Code length, 1 to 512.
      at: k for MAP@k, 1 to N; None for the full ranking. See `top_percent` for mAP@p%.

    Returns:
      The mean; NaN when there is no query.

    Raises:
      InputError: As `distance_histograms` and `average_precision` do.
    """
    total, relevant = distance_histograms(q_codes, db_codes, q_labels, db_labels, bits)
    return counts.mean(average_precision(total, relevant, at))


def top_percent(percent: float, n: int) -> int:
    """The ranks that the top `percent` of a database of `n` items take: ceil(percent / 100 * n).

    Raises:
      InputError: `percent` is not in (0, 100].
    """
    if not 0 < percent <= 100:
        raise InputError(f"percent: got {percent}; allowed is more than 0 and up to 100.")
    # Rounded first, so that 0.1 % of 3000 is 3 in spite of binary fractions.
    return math.ceil(round(percent * n / 100, 9))


def precision_at(total: jax.Array, relevant: jax.Array, n: int) -> np.ndarray:
    """Expected share of relevant items among the first n ranks.

    Where rank n cuts a group of ties, t of its items taken, its share of relevant items counts t
    times.

    Args:
      total: [Q, bits + 1] items at each distance.
      relevant: [Q, bits + 1] relevant items at each distance.
      n: Ranks, 1 to the database's size.

    Returns:
      float64 [Q].

    Raises:
      InputError: `n` is out of range.
    """
    return found_in_top(*counts.as_histograms(total, relevant), n) / n


def recall_at(total: jax.Array, relevant: jax.Array, n: int) -> np.ndarray:
    """Expected share of all relevant items that the first n ranks hold; see `precision_at`."""
    total, relevant = counts.as_histograms(total, relevant)
    return counts.ratio(found_in_top(total, relevant, n), relevant.sum(axis=1))


def precision_at_recall(total: jax.Array, relevant: jax.Array, recall: float) -> np.ndarray:
    """Precision where a share of the relevant items has been found, by the expected rank.

    With R relevant items, `r = ceil(recall R)` of them reach the recall; the precision there is r
    over the rank of the r-th. If this is the j-th relevant item of a group of n items, p of them
    relevant, that follows N items, the mean of its rank over random orders of ties is

      `N + j (n + 1) / (p + 1)`

    (the ranks of the p within the group cut the n - p others into p + 1 parts of equal mean), and
    the result is r over this mean. That is a convention: the mean of r / rank, which is a sum over
    a negative hypergeometric distribution, is never less (Jensen), and equal where nothing ties or
    the whole group is relevant.

    Args:
      total: [Q, bits + 1] items at each distance.
      relevant: [Q, bits + 1] relevant items at each distance.
      recall: More than 0 and up to 1.

    Returns:
      float64 [Q]; 0 for a query without a relevant item.

    Raises:
      InputError: `recall` is out of range, or the histograms are not histograms.
    """
    total, relevant = counts.as_histograms(total, relevant)
    if not 0 < recall <= 1:
        raise InputError(f"recall: got {recall}; allowed is more than 0 and up to 1.")
    found = np.cumsum(relevant, axis=1)
    # Rounded first, as in `top_percent`; at least one item, where there is one.
    needed = np.clip(np.ceil(np.round(recall * found[:, -1:], 9)), 1, found[:, -1:])
    group = np.argmax(found >= needed, axis=1)[:, None]  # The first distance that reaches it.
    n, p, reached, stop = (
        np.take_along_axis(counts, group, axis=1)
        for counts in (total, relevant, found, np.cumsum(total, axis=1))
    )
    rank = stop - n + (needed - (reached - p)) * (n + 1) / (p + 1)
    return counts.ratio(needed, rank)[:, 0]


def _expected_sum(
    n: np.ndarray, p: np.ndarray, before: np.ndarray, found: np.ndarray, harmonic: np.ndarray
) -> np.ndarray:
    """Expected sum of the precisions at a group's relevant ranks: S of `average_precision`.

    An item of the group at its rank i is relevant with p/n; given that, the i - 1 items before it
    in the group hold (i - 1) b relevant ones: sum_i p/n (found + 1 + (i - 1) b) / (before + i).
    """
    b = counts.ratio(p - 1, n - 1)
    spread = harmonic[before + n] - harmonic[before]
    return counts.ratio(p, n) * (b * n + (found + 1 - b * (before + 1)) * spread)


def _relevant_taken(n: np.ndarray, p: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and probabilities of a hypergeometric number, p of n marked and t drawn: [Q, X].

    Left out are values so far from the mean that Bernstein's inequality gives them less than
    1e-15 together; the rest is normalised, which also takes off the rounding of gammaln.
    """
    mean = t * p / n
    reach = 9 * np.sqrt(mean * (1 - p / n)) + 30
    low = np.maximum(np.maximum(0, t - (n - p)), np.floor(mean - reach)).astype(np.int64)
    high = np.minimum(np.minimum(t, p), np.ceil(mean + reach)).astype(np.int64)
    n, p, t = n[:, None], p[:, None], t[:, None]
    x = low[:, None] + np.arange(np.max(high - low, initial=0) + 1)
    inside = x <= high[:, None]
    x = np.minimum(x, high[:, None])
    log = -(gammaln(x + 1) + gammaln(p - x + 1) + gammaln(t - x + 1) + gammaln(n - p - t + x + 1))
    weight = np.where(inside, np.exp(log - log.max(axis=1, keepdims=True)), 0.0)
    return x, weight / weight.sum(axis=1, keepdims=True)


def found_in_top(total: np.ndarray, relevant: np.ndarray, n: int) -> np.ndarray:
    """Expected number of relevant items among the first n ranks, float64 [Q].

    Raises:
      InputError: `n` is out of range.
    """
    counts.check_rank("n", n, counts.database_size(total))
    taken = np.clip(n - (np.cumsum(total, axis=1) - total), 0, total)
    return np.sum(relevant * counts.ratio(taken, total), axis=1)
