"""The metrics that distances and labels give, under the names that `results.json` uses."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jhash.errors import InputError, in_config
from jhash.retrieval.checks import as_whole
from jhash.retrieval.metrics import counts
from jhash.retrieval.metrics.categories import category_histograms, category_mean
from jhash.retrieval.metrics.lookup import (
    f_measure,
    precision_recall_curve,
    precision_within,
    recall_within,
)
from jhash.retrieval.metrics.ranking import (
    average_precision,
    precision_at_recall,
    relevant_at,
    top_percent,
)
from jhash.retrieval.packed import Array, shown

# Recalls of `precision_at_recall_<p>`, in percent: those of DSTGeH's table and those between them.
_RECALLS = (10, 20, 30, 40, 50, 60, 70, 80)
_LARGEST = 2**63 - 1
# The beginnings of the names of averages per category; see `summarize` and
# `summarize_within_categories`.
PER_CATEGORY = "per_category_"
WITHIN_CATEGORY = "within_category_"


def queries_without_relevant(relevant: Array) -> int:
    """Counts the queries without a relevant item in the database.

    These queries count as 0 in the mean of every metric.

    Args:
      relevant: Number of relevant items at each distance, [Q, bits + 1].

    Returns:
      The number of such queries.
    """
    return int(np.sum(np.asarray(relevant).sum(axis=1) == 0))


def summarize(
    total: Array,
    relevant: Array,
    *,
    map_at: int | None = None,
    map_at_percent: float | None = None,
    precision_ranks: Sequence[int] = (100, 500, 1000),
    lookup_radius: int = 2,
    q_labels: Array | None = None,
) -> dict[str, float | int | list]:
    """Computes what distances and labels give, under the names that `results.json` uses.

    Ranks beyond the size of the database, and a radius beyond the code length, are reduced to it.
    The names contain the number that was used.

    Args:
      total: Number of items at each distance, [Q, bits + 1].
      relevant: Number of relevant items at each distance, [Q, bits + 1].
      map_at: Number k of ranks for `map_at_<k>`; None leaves it out.
      map_at_percent: Percent p of the database for `map_top_<p>_percent`; None leaves it out.
      precision_ranks: Numbers n of ranks for `precision_at_<n>` and `recall_at_<n>`.
      lookup_radius: Hamming radius r for `precision_radius_<r>`, `recall_radius_<r>` and
        `f_measure_radius_<r>`, which is the F-measure of the two averages.
      q_labels: Labels of the queries, class ids [Q] or 0/1 [Q, C], for averages per category; None
        leaves these out.

    Returns:
      A dict that JSON can hold:
      - Means over the queries, as floats: `map`, those named above, and `precision_at_recall_<p>`
        for p = 10, 20, ..., 80 percent.
      - `f1`: the largest F-measure of any radius, of the average precision and the average recall
        within it, as `f_measure_radius_<r>` is for one radius. Papers that report an F1 without
        defining it may mean another.
      - `queries` and `queries_without_relevant`, as ints.
      - With `q_labels`, `per_category_<name>` for each MAP, `precision_at_<n>` and
        `precision_at_recall_<p>`: `category_mean` of what `<name>` averages over the queries. They
        are left out if no query has a label.
      - Curves, as lists: `curve_radius_precision` and `curve_radius_recall` by radius from 0 to
        bits, and `curve_top_precision` and `curve_top_recall` at the ranks in `curve_top`.

    Raises:
      InputError: There are no queries, the database is empty, or an argument is out of range.
    """
    _check_types(map_at, precision_ranks, lookup_radius)
    arguments = total, relevant, map_at, map_at_percent, precision_ranks, lookup_radius, q_labels
    # The functions of single metrics have names of their own for these arguments.
    names = {"at": "map_at", "percent": "map_at_percent", "n": "precision_ranks"}
    with in_config(names | {"radius": "lookup_radius"}):
        return _summarize(*arguments)


def summarize_within_categories(
    q_codes: Array,
    db_codes: Array,
    q_labels: Array,
    db_labels: Array,
    bits: int,
    **options: Any,
) -> dict[str, float | int | list]:
    """Computes averages per category for which only items of that category are relevant.

    A query with three labels is three queries here: one for each label, to which the items with
    that label are relevant. For class ids these averages are those of `summarize`, and so they are
    left out.

    Args:
      q_codes: Packed codes of the queries, uint32 [Q, ceil(bits / 32)].
      db_codes: Packed codes of the database, uint32 [N, ceil(bits / 32)].
      q_labels: Labels of the queries: integer class ids [Q], or 0/1 [Q, C].
      db_labels: Labels of the database: integer class ids [N], or 0/1 [N, C].
      bits: Code length, 1 to 512.
      **options: Options of `summarize`, from `map_at` to `lookup_radius`.

    Returns:
      `within_category_<name>` for the names that `summarize` averages per category; nothing for
      class ids, and if no query has a label.

    Raises:
      InputError: As `distance_histograms` and `summarize` do.
    """
    if np.ndim(q_labels) == 1 or not np.any(q_labels):
        return {}
    total, relevant, categories = category_histograms(q_codes, db_codes, q_labels, db_labels, bits)
    summary = summarize(total, relevant, q_labels=categories, **options)
    return {
        WITHIN_CATEGORY + name.removeprefix(PER_CATEGORY): value
        for name, value in summary.items()
        if name.startswith(PER_CATEGORY)
    }


def _check_types(map_at: Any, precision_ranks: Any, lookup_radius: Any) -> None:
    """Raises InputError for ranks or a radius that are no integers, and below 0 or 1."""
    if map_at is not None:
        as_whole("map_at", map_at, 1, _LARGEST, "ranks")
    if isinstance(precision_ranks, str) or not isinstance(precision_ranks, Iterable):
        raise InputError(f"precision_ranks: {shown(precision_ranks)} given; allowed: integers.")
    for rank in precision_ranks:
        as_whole("precision_ranks", rank, 1, _LARGEST, "ranks")
    as_whole("lookup_radius", lookup_radius, 0, _LARGEST, "distances")


def _summarize(
    total: Array,
    relevant: Array,
    map_at: int | None,
    map_at_percent: float | None,
    precision_ranks: Sequence[int],
    lookup_radius: int,
    q_labels: Array | None,
) -> dict[str, float | int | list]:
    total_QxD, relevant_QxD = counts.as_histograms(total, relevant)
    if len(total_QxD) == 0:
        raise InputError("total: no queries given; allowed: at least one.")
    size = counts.database_size(total_QxD)
    if size == 0:
        raise counts.empty_database()
    radius = min(lookup_radius, total_QxD.shape[1] - 1)
    # Those of which there are averages per category, too: a number per query, by name.
    map_Q = average_precision(total_QxD, relevant_QxD)
    by_query = {"map": map_Q}
    result: dict[str, float | int | list] = {
        "map": counts.mean(map_Q),
        "queries": len(total_QxD),
        "queries_without_relevant": queries_without_relevant(relevant_QxD),
    }

    def add(name, values_Q):
        by_query[name] = values_Q
        result[name] = counts.mean(values_Q)

    if map_at is not None:
        at = min(map_at, size)
        add(f"map_at_{at}", average_precision(total_QxD, relevant_QxD, at))
    if map_at_percent is not None:
        at = top_percent(map_at_percent, size)
        top_Q = average_precision(total_QxD, relevant_QxD, at)
        add(f"map_top_{map_at_percent:g}_percent", top_Q)
    for n in sorted({min(n, size) for n in precision_ranks}):
        precision_Q, recall_Q = _at(total_QxD, relevant_QxD, n)
        add(f"precision_at_{n}", precision_Q)
        result[f"recall_at_{n}"] = counts.mean(recall_Q)

    precision = counts.mean(precision_within(total_QxD, relevant_QxD, radius))
    recall = counts.mean(recall_within(total_QxD, relevant_QxD, radius))
    result[f"precision_radius_{radius}"] = precision
    result[f"recall_radius_{radius}"] = recall
    result[f"f_measure_radius_{radius}"] = float(f_measure(precision, recall))
    for percent in _RECALLS:
        precision_Q = precision_at_recall(total_QxD, relevant_QxD, percent / 100)
        add(f"precision_at_recall_{percent}", precision_Q)
    precision_D, recall_D = precision_recall_curve(total_QxD, relevant_QxD)
    result["f1"] = float(f_measure(precision_D, recall_D).max())
    if q_labels is not None and (np.ndim(q_labels) == 1 or np.any(q_labels)):
        for name, values_Q in by_query.items():
            result[PER_CATEGORY + name] = category_mean(values_Q, q_labels)

    result["curve_radius_precision"] = precision_D.tolist()
    result["curve_radius_recall"] = recall_D.tolist()
    ranks = _curve_ranks(size)
    means = [tuple(map(counts.mean, _at(total_QxD, relevant_QxD, n))) for n in ranks]
    result["curve_top"] = ranks
    result["curve_top_precision"] = [precision for precision, _ in means]
    result["curve_top_recall"] = [recall for _, recall in means]
    return result


def _at(total_QxD: np.ndarray, relevant_QxD: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Computes `precision_at` and `recall_at`; their numerator is computed once."""
    relevant_Q = relevant_at(total_QxD, relevant_QxD, n)
    return relevant_Q / n, counts.ratio(relevant_Q, relevant_QxD.sum(axis=1))


def _curve_ranks(size: int) -> list[int]:
    """Returns 1, 2, 5, 10, 20, 50, ... below the size of the database, and the size."""
    steps = [factor * 10**digits for digits in range(len(str(size))) for factor in (1, 2, 5)]
    return [*(n for n in steps if n < size), size]
