"""Class codes: balance, distances, bounds of these, and codes of several labels."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.errors import InputError
from jhash.solvers import class_codes, code_bounds

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


def distances(codes):
    """The distances of all pairs of rows."""
    codes = np.asarray(codes)
    return (codes[:, None] != codes).sum(2)[np.triu_indices(len(codes), 1)]


@pytest.mark.parametrize("kind", class_codes.KINDS)
def test_every_kind_gives_different_codes_of_the_key(kind):
    classes, bits = 6, 4
    codes = class_codes.make(kind, jax.random.key(1), classes, bits)
    assert codes.shape == (classes, bits)
    np.testing.assert_array_equal(np.abs(codes), 1)
    assert distances(codes).min() > 0
    again = class_codes.make(kind, jax.random.key(1), classes, bits)
    np.testing.assert_array_equal(codes, again)
    assert not np.array_equal(codes, class_codes.make(kind, jax.random.key(2), classes, bits))


def test_codes_that_cannot_differ_are_refused():
    with pytest.raises(InputError, match=r"^bits: 2 given; allowed: 3 and more, as 5 classes"):
        class_codes.make("far_apart", jax.random.key(0), 5, 2)
    with pytest.raises(InputError, match=r"^bits: 4 given, with which hadamard codes of 16"):
        class_codes.make("hadamard", jax.random.key(0), 16, 4)  # Six words have two ones.
    with pytest.raises(InputError, match=r"^kind: 'paley' given; allowed: hadamard, bernoulli"):
        class_codes.make("paley", jax.random.key(0), 5, 8)


@pytest.mark.parametrize("classes", [10, 32])
def test_rows_of_a_hadamard_matrix_differ_in_half_of_the_bits(classes):
    codes = np.asarray(class_codes.hadamard(jax.random.key(0), classes, 16))
    assert set(distances(codes)) <= {8, 16}
    assert (np.abs(codes.sum(0)) < classes).all(), "a bit is constant"
    if classes == 10:  # Of the first ten rows only 16 columns of any number are different.
        longer = np.asarray(class_codes.hadamard(jax.random.key(0), classes, 64))
        assert len(np.unique(longer, axis=1).T) > 16


def test_other_lengths_have_as_many_ones_as_zeros_in_each_code():
    codes = np.asarray(class_codes.hadamard(jax.random.key(0), 10, 12))
    np.testing.assert_array_equal(codes.sum(1), 0)
    assert distances(codes).min() >= 4


def energy(codes):
    """The sum of 4^-distance over the pairs of classes."""
    return (4.0 ** -distances(codes)).sum()


def test_flips_lower_the_sum_until_none_does():
    first = np.asarray(class_codes.initial_class_codes(jax.random.key(0), 38, 12))
    codes = np.array(class_codes.flip_apart(first))
    assert energy(codes) < energy(first)
    assert distances(first).min() == 3
    assert distances(codes).min() == code_bounds.gilbert_varshamov(38, 12) == 4
    lowest = energy(codes)
    for place in np.ndindex(codes.shape):
        codes[place] *= -1
        assert energy(codes) > lowest * (1 - 1e-4)
        codes[place] *= -1
    np.testing.assert_array_equal(class_codes.flip_apart(codes), codes)


def published_bound(classes, bits):
    """As the code of MDSH has it, in floats."""
    border = 2**bits / classes
    for d in range(1, bits + 2):
        if sum(math.comb(bits, i) for i in range(d)) >= border:
            return d
    return None


def test_bounds_of_the_min_distance():
    for bits in range(2, 50):
        for classes in (2, 10, 21, 100):
            expected = published_bound(classes, bits)
            assert code_bounds.gilbert_varshamov(classes, bits) == expected
    assert code_bounds.gilbert_varshamov(100, 512) == 231
    # Codes that reach Griesmer's bound: repetition, Hamming, Reed-Muller, simplex and Golay codes.
    for classes, bits, distance in ((2, 9, 9), (16, 7, 3), (32, 16, 8), (16, 15, 8), (4096, 24, 8)):
        assert code_bounds.griesmer(classes, bits) == distance
    assert code_bounds.griesmer(10, 32) == code_bounds.griesmer(16, 32) == 16
    assert code_bounds.griesmer(3, 1) == 0


@pytest.mark.parametrize("tie", [1.0, -1.0])
def test_several_labels_have_the_majority_of_their_codes(tie):
    codes = np.float32([[1, 1, 1, -1], [1, -1, -1, -1], [1, 1, -1, 1]])
    ties = np.float32([tie, tie, -tie, -tie])
    rows = np.uint8([[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0]])
    expected = [codes[0], [1, tie, -tie, -1], [1, 1, -1, -1], ties]
    found = class_codes.of_labels(jnp.asarray(codes), jnp.asarray(rows), jnp.asarray(ties))
    np.testing.assert_array_equal(found, expected)
    ids = jnp.array([2, 0, 2])
    found = class_codes.of_labels(jnp.asarray(codes), ids, jnp.asarray(ties))
    np.testing.assert_array_equal(found, codes[[2, 0, 2]])
