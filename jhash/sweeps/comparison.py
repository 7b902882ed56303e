"""Two rows of a table against each other: the runs that differ in nothing else, pair by pair."""

import math
from collections.abc import Sequence

import numpy as np

from jhash.sweeps import finished
from jhash.sweeps.plan import Plan
from jhash.sweeps.summary import Entry
from jhash.sweeps.table import UNITS

# Number of pairs up to which all patterns of signs are counted; for more, as many are drawn.
_MAX_COUNTED = 16
# Fewer pairs than these have no pattern of signs with a probability below 5 %.
_MIN_PAIRS = 6


def sentences(plan: Plan, entries: Sequence[Entry]) -> list[str]:
    """Says for each pair of `table.pairs` whether its difference is more than chance.

    A pair of runs has the same data, column and seed; see `sign_flip_test`.

    Args:
      plan: The plan.
      entries: What its runs left.
    """
    said = []
    for data in plan.table.data:
        for first, second in plan.table.pairs:
            for metric in plan.table.metrics:
                one = _numbers(entries, first, data, metric.key)
                other = _numbers(entries, second, data, metric.key)
                pairs = sorted(set(one) & set(other))
                if pairs:
                    differences = [one[pair] - other[pair] for pair in pairs]
                    name = f"{plan.images(data)}, {metric.name}: {first} less {second}"
                    said.append(f"{name}, {_words(differences, metric.unit)}")
    return said


def sign_flip_test(differences: Sequence[float]) -> float:
    """Returns the two-sided p-value of a mean difference of pairs.

    If the members of a pair are exchangeable, each difference is as likely with the other sign. The
    p-value is the share of the patterns of signs whose mean is at least as far from 0 as the
    measured one. Of more than 16 pairs, 65,536 patterns are drawn.

    Args:
      differences: A difference per pair, [N].

    References:
      Fisher 1935, The Design of Experiments, section 21.
    """
    values_N = np.asarray(differences, np.float64)
    count = len(values_N)
    if count <= _MAX_COUNTED:
        patterns = np.arange(2**count)[:, None] >> np.arange(count) & 1
    else:
        patterns = np.random.default_rng(0).integers(0, 2, (2**_MAX_COUNTED, count))
        patterns[0] = 0  # The measured signs are a pattern, too, so that p is never 0.
    sums = (1 - 2 * patterns) @ values_N
    # Sums of the same numbers may round differently.
    margin = 1e-12 * np.abs(values_N).sum()
    return float((np.abs(sums) >= abs(values_N.sum()) - margin).mean())


def _numbers(entries, row, data, key):
    """Returns a metric's numbers by (column, seed)."""
    numbers = {}
    for entry in entries:
        if entry.place.row.name == row and entry.place.data is data:
            for results in entry.results:
                number = finished.number(results, key)
                if number is not None:
                    numbers[entry.place.column.name, results["config"]["seed"]] = number
    return numbers


def _words(differences, unit):
    """Says the mean difference and how likely it is by chance."""
    factor, decimals = UNITS[unit]
    mean = factor * math.fsum(differences) / len(differences)
    words = f"mean difference {mean:+.{decimals}f} over {len(differences)} pairs of runs"
    if len(differences) < _MIN_PAIRS:
        return f"{words}, too few for a test; {_MIN_PAIRS} or more are needed."
    spread = factor * float(np.std(differences, ddof=1))
    p = sign_flip_test(differences)
    return f"{words}, standard deviation {spread:.{decimals}f}, p = {p:.2g}."
