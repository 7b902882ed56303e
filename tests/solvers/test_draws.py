"""Draws: a function of the key and the numbers."""

import jax
import numpy as np

from jhash.solvers import draws


def test_places_differ_and_are_those_of_the_key():
    key = jax.random.key(0)
    found = draws.places(key, 5, 9, 2)
    np.testing.assert_array_equal(found, draws.places(key, 5, 9, 2))
    assert len(set(found.tolist())) == 5
    assert set(draws.places(key, 20, 9).tolist()) == set(range(9))
    others = [draws.places(key, 5, 9, 3), draws.places(jax.random.key(1), 5, 9, 2)]
    assert not any(np.array_equal(found, other) for other in others)
