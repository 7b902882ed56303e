"""Thresholds at the median of columns with and without ties."""

import numpy as np

from jhash.solvers import thresholds


def test_thresholds_part_columns_as_evenly_as_ties_allow():
    columns = np.array([
        [1, 2, 3, 4, 5, 6],
        [1, 1, 1, 1, 2, 3],
        [1, 2, 3, 3, 3, 3],
        [1, 1, 1, 2, 2, 2],
        [7, 7, 7, 7, 7, 7],
        [1, 1 + 1e-12, 1 + 2e-12, 1 + 3e-12, 1 + 4e-12, 1 + 5e-12],
    ]).T  # fmt: skip
    bits = thresholds.center_at_median(columns) > 0
    expected = [
        [0, 0, 0, 1, 1, 1],
        [0, 0, 0, 0, 1, 1],
        [0, 0, 1, 1, 1, 1],
        [0, 0, 0, 1, 1, 1],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1],
    ]
    np.testing.assert_array_equal(bits.T, expected)
