"""All metrics of a run, by the names that `results.json` uses."""

from collections.abc import Sequence

import jax
import numpy as np

from jhash.errors import InputError
from jhash.retrieval.metrics import counts
from jhash.retrieval.metrics.lookup import (
    f_measure,
    precision_recall_curve,
    precision_within,
    recall_within,
)
from jhash.retrieval.metrics.ranking import (
    average_precision,
    found_in_top,
    precision_at_recall,
    top_percent,
)

# Recalls of `summarize`, in percent: those of DSTGeH's table, and what lies between.
_RECALLS = (10, 20, 30, 40, 50, 60, 70, 80)


def queries_without_relevant(relevant: jax.Array) -> int:
    """How many queries have no relevant item in the database; they count 0 in every metric."""
    return int(np.sum(np.asarray(relevant).sum(axis=1) == 0))


def summarize(
    total: jax.Array,
    relevant: jax.Array,
    *,
    map_at: int | None = None,
    map_at_percent: float | None = None,
    precision_ranks: Sequence[int] = (100, 500, 1000),
    lookup_radius: int = 2,
) -> dict[str, float | int | list]:
    """All metrics of a run, under the names that `results.json` uses.

    Args:
      total: [Q, bits + 1] items at each distance.
      relevant: [Q, bits + 1] relevant items at each distance.
      map_at: k for `map_at_<k>`; None leaves it out.
      map_at_percent: p for `map_top_<p>_percent`; None leaves it out.
      precision_ranks: `precision_at_<n>` and `recall_at_<n>` for each of these.
      lookup_radius: For `precision_radius_<r>`, `recall_radius_<r>` and `f_measure_radius_<r>`, the
        F-measure of the two averages.
        Ranks that exceed the database, and a radius that exceeds the bits, are cut to it; the names
        tell the number that was used.

    Returns:
      Means over the queries as floats, `precision_at_recall_<p>` for p = 10 to 80 percent among
      them; `f1`, the largest F-measure of any radius: of the average precision and the average
      recall within it, as `f_measure_radius_<r>` is for one (papers that report an F1 without its
      definition may mean another); `queries` and `queries_without_relevant` as ints; and the curves
      as lists: `curve_radius_precision` and `curve_radius_recall` by radius 0..bits,
      `curve_top_precision` and `curve_top_recall` at the ranks `curve_top`.

    Raises:
      InputError: There is no query, or an argument is out of range.
    """
    total, relevant = counts.as_histograms(total, relevant)
    if len(total) == 0:
        raise InputError("total: got no queries; metrics need at least one.")
    size = counts.database_size(total)
    radius = min(lookup_radius, total.shape[1] - 1)
    result = {
        "map": counts.mean(average_precision(total, relevant)),
        "queries": len(total),
        "queries_without_relevant": queries_without_relevant(relevant),
    }
    if map_at is not None:
        at = min(map_at, size)
        result[f"map_at_{at}"] = counts.mean(average_precision(total, relevant, at))
    if map_at_percent is not None:
        top = average_precision(total, relevant, top_percent(map_at_percent, size))
        result[f"map_top_{map_at_percent:g}_percent"] = counts.mean(top)
    for n in sorted({min(n, size) for n in precision_ranks}):
        result[f"precision_at_{n}"], result[f"recall_at_{n}"] = _means_at(total, relevant, n)
    precision = counts.mean(precision_within(total, relevant, radius))
    recall = counts.mean(recall_within(total, relevant, radius))
    result[f"precision_radius_{radius}"] = precision
    result[f"recall_radius_{radius}"] = recall
    result[f"f_measure_radius_{radius}"] = float(f_measure(precision, recall))
    for p in _RECALLS:
        result[f"precision_at_recall_{p}"] = counts.mean(
            precision_at_recall(total, relevant, p / 100)
        )
    by_radius = precision_recall_curve(total, relevant)
    result["f1"] = float(f_measure(*by_radius).max())

    result["curve_radius_precision"] = by_radius[0].tolist()
    result["curve_radius_recall"] = by_radius[1].tolist()
    tops = _curve_ranks(size)
    by_rank = [_means_at(total, relevant, n) for n in tops]
    result["curve_top"] = tops
    result["curve_top_precision"] = [precision for precision, _ in by_rank]
    result["curve_top_recall"] = [recall for _, recall in by_rank]
    return result


def _means_at(total: np.ndarray, relevant: np.ndarray, n: int) -> tuple[float, float]:
    """Mean `precision_at` and mean `recall_at`, whose counts they share."""
    found = found_in_top(total, relevant, n)
    return counts.mean(found / n), counts.mean(counts.ratio(found, relevant.sum(axis=1)))


def _curve_ranks(size: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, ... and the database's size."""
    steps = [m * 10**e for e in range(len(str(size))) for m in (1, 2, 5)]
    return [*(n for n in steps if n < size), size]
