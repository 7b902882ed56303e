"""Class codes: balance, distances, and the measure of distances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.solvers import class_codes

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "bits", "smallest"),
    # With every bit balanced, the mean distance of ten codes is 5/9 of the bits: 6.7, 13.3, 26.7.
    [(10, 12, 5), (10, 24, 12), (10, 48, 25), (21, 12, 4), (4, 2, 1)],
)
def test_initial_class_codes_are_far_apart_and_balanced(classes, bits, smallest):
    for seed in range(3):
        codes = class_codes.initial_class_codes(jax.random.key(seed), classes, bits)
        np.testing.assert_array_equal(np.abs(codes), 1)
        np.testing.assert_array_equal(np.abs(np.sum(codes, axis=0)), classes % 2)
        distinct, distance = class_codes.code_separation(codes)
        assert int(distinct) == classes
        assert float(distance) >= smallest


def test_code_separation_counts_collisions():
    codes = jnp.array([[1, 1, 1], [1, -1, 1], [1, 1, 1], [-1, -1, -1]], jnp.float32)
    distinct, smallest = class_codes.code_separation(codes)
    assert (int(distinct), float(smallest)) == (3, 0)
    assert [float(x) for x in class_codes.code_separation(codes[:1])] == [1, 3]
