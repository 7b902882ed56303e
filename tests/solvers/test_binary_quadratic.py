"""The binary quadratic problem against all codes."""

import itertools

import numpy as np
import pytest

from jhash.solvers import binary_quadratic

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_ascent_ends_where_no_flip_helps_and_never_below_its_start():
    rng = np.random.default_rng(0)
    best = 0
    for _ in range(20):
        quadratic = rng.normal(size=(7, 7))
        quadratic, linear = quadratic + quadratic.T, rng.normal(size=7)

        def value(bits, quadratic=quadratic, linear=linear):
            return bits @ quadratic @ bits + linear @ bits

        start = rng.choice([-1.0, 1.0], 7)
        found = np.asarray(binary_quadratic.ascend(start, quadratic, linear), np.float64)
        assert value(found) >= value(start) - 1e-9
        flips = found * (1 - 2 * np.eye(7))
        assert max(value(flipped) for flipped in flips) <= value(found) + 1e-5
        codes = (np.array(bits) for bits in itertools.product([-1.0, 1.0], repeat=7))
        best += value(found) > max(map(value, codes)) - 1e-5
    assert best >= 5  # Of all local maxima it finds the highest now and then.


def test_without_a_preference_bits_stay():
    bits = np.array([1.0, -1.0, 1.0])
    found = binary_quadratic.ascend(bits, 3 * np.eye(3), np.zeros(3))
    np.testing.assert_array_equal(found, bits)
