"""Metrics of a ranking, from distance histograms: exact expectations over random orders of ties.

Distances tie all the time in a ranking by Hamming distance. The order in which a sort leaves the
ties can move the MAP of a trained model's codes by several points. So every metric here is the mean
over all orders of the items at each distance, computed in closed form, in float64, on the host.
`precision_at_recall` is the exception: it takes the mean of a rank, not of the rank's inverse.

`total` and `relevant` are the two results of `distance_histograms`. Queries without any relevant
item count as 0 in every metric; none is left out.

Letters in the shapes: Q queries, D = bits + 1 distances, 0 to bits, B queries of a block, X values
of a random number. A *group* is the items that tie: those at one distance from a query.
"""

import math

import numpy as np
from scipy.special import gammaln

from jhash.errors import InputError
from jhash.retrieval.checks import as_whole
from jhash.retrieval.metrics import counts
from jhash.retrieval.metrics.histograms import distance_histograms
from jhash.retrieval.packed import Array, is_real, shown

# Number of queries whose cut groups are expanded at a time, which bounds memory.
_CUT_BLOCK = 1024


def average_precision(total: Array, relevant: Array, at: int | None = None) -> np.ndarray:
    """Computes the average precision per query, as the expectation over random orders of ties.

    A group of n items, p of them relevant, that follows N items, A of them relevant, adds

      `S = p/n * (b n + (A + 1 - b (N + 1)) (H(N + n) - H(N)))`, `b = (p - 1) / (n - 1)`

    to the expected sum of the precisions at relevant ranks (b = 0 when n = 1; H: harmonic number).
    Over the full ranking, AP is the sum of S over all groups, divided by the number of relevant
    items.

    AP@k divides by the number of relevant items *retrieved* in the top k, as the hashing papers do.
    (Others divide by min(k, number of all relevant items).) When rank k cuts a group, the top k
    take t of its n items. The number x of relevant items among these t is hypergeometric, and given
    x, their ranks are uniform. So `AP@k = sum_x P(x) (S_before + S(t, x)) / (A + x)`.

    Args:
      total: Number of items at each distance, [Q, bits + 1].
      relevant: Number of relevant items at each distance, [Q, bits + 1].
      at: Number k of ranks that count, 1 to the size of the database; None for all.

    Returns:
      float64 [Q]; 0 for a query without a relevant item (in the top k).

    Raises:
      InputError: `at` is out of range, or the arrays are not histograms of one database.
    """
    n_QxD, p_QxD = counts.as_histograms(total, relevant)
    size = counts.database_size(n_QxD)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, size + 1))])
    if at is not None:
        counts.check_rank("at", at, n_QxD)
    n_before_QxD = np.cumsum(n_QxD, axis=1) - n_QxD
    p_before_QxD = np.cumsum(p_QxD, axis=1) - p_QxD
    sums_QxD = _expected_sum(n_QxD, p_QxD, n_before_QxD, p_before_QxD, harmonic)
    if at is None:
        return _at_most_1(counts.ratio(sums_QxD.sum(axis=1), p_QxD.sum(axis=1)))

    # The groups that lie in the top k as a whole.
    whole_QxD = n_before_QxD + n_QxD <= at
    sums_Q = np.where(whole_QxD, sums_QxD, 0.0).sum(axis=1)
    p_whole_Q = np.where(whole_QxD, p_QxD, 0).sum(axis=1)
    result_Q = counts.ratio(sums_Q, p_whole_Q)

    # The group that rank k cuts, in the queries that have one: t of its items are in the top k.
    t_Q = at - np.where(whole_QxD, n_QxD, 0).sum(axis=1)
    cut_group_Q = np.argmin(whole_QxD, axis=1)
    cut_queries = np.flatnonzero(t_Q > 0)
    for rows in np.split(cut_queries, np.arange(_CUT_BLOCK, len(cut_queries), _CUT_BLOCK)):
        n_B = n_QxD[rows, cut_group_Q[rows]]
        p_B = p_QxD[rows, cut_group_Q[rows]]
        x_BxX, probability_BxX = _relevant_taken(n_B, p_B, t_Q[rows])
        t_Bx1 = t_Q[rows, None]
        p_before_Bx1 = p_whole_Q[rows, None]
        inside_BxX = _expected_sum(t_Bx1, x_BxX, at - t_Bx1, p_before_Bx1, harmonic)
        values_BxX = counts.ratio(sums_Q[rows, None] + inside_BxX, p_before_Bx1 + x_BxX)
        result_Q[rows] = np.sum(probability_BxX * values_BxX, axis=1)
    return _at_most_1(result_Q)


def mean_average_precision(
    q_codes: Array,
    db_codes: Array,
    q_labels: Array,
    db_labels: Array,
    bits: int,
    at: int | None = None,
) -> float:
    """Computes the mean of `average_precision` over all queries, also those without relevant items.

    Args:
      q_codes: Packed codes of the queries, uint32 [Q, ceil(bits / 32)].
      db_codes: Packed codes of the database, uint32 [N, ceil(bits / 32)].
      q_labels: Labels of the queries: integer class ids [Q], or 0/1 [Q, C].
      db_labels: Labels of the database: integer class ids [N], or 0/1 [N, C].
      bits: Code length, 1 to 512.
      at: Number k of ranks for MAP@k, 1 to N; None for the full ranking. For the top p percent, see
        `top_percent`.

    Returns:
      The mean; NaN without queries, 0 for an empty database if `at` is None.

    Raises:
      InputError: As `distance_histograms` and `average_precision` do.
    """
    total, relevant = distance_histograms(q_codes, db_codes, q_labels, db_labels, bits)
    return counts.mean(average_precision(total, relevant, at))


def top_percent(percent: float, n: int) -> int:
    """Computes the number of ranks in the top percent of a database: ceil(percent / 100 * n).

    Args:
      percent: More than 0 and up to 100.
      n: Size of the database.

    Returns:
      The number of ranks, at least 1 if there are any.

    Raises:
      InputError: `percent` is out of range, or `n` is no size.
    """
    if not is_real(percent) or not 0 < percent <= 100:
        raise InputError(f"percent: {shown(percent)} given; allowed: more than 0, up to 100.")
    n = as_whole("n", n, 0, np.iinfo(np.int64).max, "the size of the database")
    # Rounded before the ceiling, so that 0.1 % of 3000 is 3 in spite of binary fractions.
    return min(n, max(1, math.ceil(round(percent * n / 100, 9))))


def precision_at(total: Array, relevant: Array, n: int) -> np.ndarray:
    """Computes the expected share of relevant items among the first n ranks, per query.

    Where rank n cuts a group, a share of the group's relevant items counts, which is the share of
    all its items that are among the first n.

    Args:
      total: Number of items at each distance, [Q, bits + 1].
      relevant: Number of relevant items at each distance, [Q, bits + 1].
      n: Number of ranks, 1 to the size of the database.

    Returns:
      float64 [Q].

    Raises:
      InputError: `n` is out of range, or the arrays are not histograms of one database.
    """
    return relevant_at(total, relevant, n) / n


def recall_at(total: Array, relevant: Array, n: int) -> np.ndarray:
    """Computes the expected share of all relevant items that the first n ranks hold, per query.

    Where rank n cuts a group, its relevant items count as in `precision_at`.

    Args:
      total: Number of items at each distance, [Q, bits + 1].
      relevant: Number of relevant items at each distance, [Q, bits + 1].
      n: Number of ranks, 1 to the size of the database.

    Returns:
      float64 [Q]; 0 for a query without a relevant item.

    Raises:
      InputError: `n` is out of range, or the arrays are not histograms of one database.
    """
    total_QxD, relevant_QxD = counts.as_histograms(total, relevant)
    return counts.ratio(relevant_at(total_QxD, relevant_QxD, n), relevant_QxD.sum(axis=1))


def relevant_at(total: Array, relevant: Array, n: int) -> np.ndarray:
    """Computes the expected number of relevant items among the first n ranks, per query.

    Args:
      total: Number of items at each distance, [Q, bits + 1].
      relevant: Number of relevant items at each distance, [Q, bits + 1].
      n: Number of ranks, 1 to the size of the database.

    Returns:
      float64 [Q].

    Raises:
      InputError: `n` is out of range, or the arrays are not histograms of one database.
    """
    total_QxD, relevant_QxD = counts.as_histograms(total, relevant)
    counts.check_rank("n", n, total_QxD)
    before_QxD = np.cumsum(total_QxD, axis=1) - total_QxD
    taken_QxD = np.clip(n - before_QxD, 0, total_QxD)
    expected_Q = np.sum(relevant_QxD * counts.ratio(taken_QxD, total_QxD), axis=1)
    return np.minimum(expected_Q, n)  # Rounding may exceed n by a unit of the last digit.


def precision_at_recall(total: Array, relevant: Array, recall: float) -> np.ndarray:
    """Computes the precision at the rank where a recall is reached, per query.

    With R relevant items, the recall is reached by `r = ceil(recall R)` of them. The precision
    there is r divided by the rank of the r-th relevant item. Let this item be the j-th relevant one
    of its group, of n items, p of them relevant, and let N items precede the group. Over random
    orders of ties, the mean of its rank is

      `N + j (n + 1) / (p + 1)`

    because the p relevant ranks cut the group's n - p other items into p + 1 parts of equal mean.
    The result is r divided by this mean. That is a convention. The other choice is the mean of
    r / rank, a sum over a negative hypergeometric distribution. It is never smaller (Jensen), and
    it is equal where nothing ties or where all items of the group are relevant.

    Args:
      total: Number of items at each distance, [Q, bits + 1].
      relevant: Number of relevant items at each distance, [Q, bits + 1].
      recall: Share of the relevant items, more than 0 and up to 1.

    Returns:
      float64 [Q]; 0 for a query without a relevant item.

    Raises:
      InputError: `recall` is out of range, or the shapes of the histograms are wrong.
    """
    n_QxD, p_QxD = counts.as_histograms(total, relevant)
    if not is_real(recall) or not 0 < recall <= 1:
        raise InputError(f"recall: {shown(recall)} given; allowed: more than 0, up to 1.")
    n_up_to_QxD = np.cumsum(n_QxD, axis=1)
    p_up_to_QxD = np.cumsum(p_QxD, axis=1)
    all_Qx1 = p_up_to_QxD[:, -1:]
    # Rounded before the ceiling, as in `top_percent`. At least one item, where there is one.
    r_Qx1 = np.clip(np.ceil(np.round(recall * all_Qx1, 9)), 1, all_Qx1)
    # The group of the r-th relevant item is the first up to which r of them lie.
    group_Qx1 = np.argmax(p_up_to_QxD >= r_Qx1, axis=1)[:, None]
    n_Qx1 = np.take_along_axis(n_QxD, group_Qx1, axis=1)
    p_Qx1 = np.take_along_axis(p_QxD, group_Qx1, axis=1)
    n_before_Qx1 = np.take_along_axis(n_up_to_QxD, group_Qx1, axis=1) - n_Qx1
    p_before_Qx1 = np.take_along_axis(p_up_to_QxD, group_Qx1, axis=1) - p_Qx1
    rank_Qx1 = n_before_Qx1 + (r_Qx1 - p_before_Qx1) * (n_Qx1 + 1) / (p_Qx1 + 1)
    return counts.ratio(r_Qx1, rank_Qx1)[:, 0]


def _at_most_1(values_Q: np.ndarray) -> np.ndarray:
    """Removes the rounding by which a mean of ones may exceed 1."""
    return np.minimum(values_Q, 1.0)


def _expected_sum(
    n: np.ndarray,
    p: np.ndarray,
    n_before: np.ndarray,
    p_before: np.ndarray,
    harmonic: np.ndarray,
) -> np.ndarray:
    """Computes the expected sum of the precisions at a group's relevant ranks.

    This is S of `average_precision`. The item at rank i of the group is relevant with probability
    p/n. Given that it is, the i - 1 items before it in the group hold (i - 1) b relevant ones in
    the mean. So S is `sum_i p/n (p_before + 1 + (i - 1) b) / (n_before + i)`.

    Args:
      n: Number of items of the group; all arguments but the last broadcast to one shape.
      p: Number of relevant items of the group.
      n_before: Number of items before the group.
      p_before: Number of relevant items before the group.
      harmonic: Harmonic numbers H(0), H(1), ...

    Returns:
      float64 of the broadcast shape.
    """
    b = counts.ratio(p - 1, n - 1)
    spread = harmonic[n_before + n] - harmonic[n_before]
    return counts.ratio(p, n) * (b * n + (p_before + 1 - b * (n_before + 1)) * spread)


def _relevant_taken(
    n_B: np.ndarray, p_B: np.ndarray, t_B: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the hypergeometric distribution of the relevant items among those that are taken.

    Values are left out that are so far from the mean that, by Bernstein's inequality, their
    probabilities add up to less than 1e-15. The others are normalized, which also removes the
    rounding of gammaln.

    Args:
      n_B: Number of items of each group, at least 1.
      p_B: Number of relevant items of each group.
      t_B: Number of items that are taken from each group, at random.

    Returns:
      Values and their probabilities, both [B, X]. Rows with fewer than X values are filled up with
      the last one, with a probability of 0.
    """
    mean_B = t_B * p_B / n_B
    reach_B = 9 * np.sqrt(mean_B * (1 - p_B / n_B)) + 30
    low_B = np.maximum(np.maximum(0, t_B - (n_B - p_B)), np.floor(mean_B - reach_B))
    low_B = low_B.astype(np.int64)
    high_B = np.minimum(np.minimum(t_B, p_B), np.ceil(mean_B + reach_B)).astype(np.int64)
    n, p, t = n_B[:, None], p_B[:, None], t_B[:, None]
    x = low_B[:, None] + np.arange(np.max(high_B - low_B, initial=0) + 1)
    inside = x <= high_B[:, None]
    x = np.minimum(x, high_B[:, None])
    log = -(gammaln(x + 1) + gammaln(p - x + 1) + gammaln(t - x + 1) + gammaln(n - p - t + x + 1))
    weight = np.where(inside, np.exp(log - log.max(axis=1, keepdims=True)), 0.0)
    return x, weight / weight.sum(axis=1, keepdims=True)
