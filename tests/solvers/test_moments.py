"""Sums in float64: products, deviations and standardized features against NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from jhash.solvers import moments


@pytest.fixture(scope="module")
def features():
    """More samples than a block has, far from 0."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(9000, 3)) * [1, 5, 0.1] + [100, -3, 7]).astype(np.float32)


def test_products_of_samples_are_those_of_float64(features):
    other = np.random.default_rng(1).normal(size=(9000, 2)).astype(np.float32)
    wide = features.astype(np.float64)
    np.testing.assert_allclose(moments.product(features, other), wide.T @ other, rtol=1e-12)
    np.testing.assert_allclose(moments.product(features, features), wide.T @ wide, rtol=1e-12)
    # An array of JAX keeps its float32 in operations of NumPy.
    found = moments.product(jnp.asarray(features), jnp.asarray(features))
    np.testing.assert_allclose(found, wide.T @ wide, rtol=1e-12)


def test_standardized_features_have_mean_0_and_deviation_1(features):
    features = np.column_stack([features, np.full(9000, 0.1, np.float32)])
    found, mean, scale = moments.standardize(features)
    assert found.dtype == np.float32
    wide = features.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(0), rtol=1e-12)
    np.testing.assert_allclose(scale, [*wide[:, :3].std(0), 1], rtol=1e-9)
    np.testing.assert_array_equal(found[:, 3], 0)
    np.testing.assert_allclose(found[:, :3].std(0), 1, rtol=1e-4)
