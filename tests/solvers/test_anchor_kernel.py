"""Gaussian kernels against scikit-learn."""

import jax
import numpy as np
import pytest
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel

from jhash.errors import InputError
from jhash.solvers import anchor_kernel
from tests.support import correlated

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(0)


def test_kernels_are_those_of_scikit_learn():
    features = correlated.features()
    kernel = anchor_kernel.draw(features, 30, 0.4, KEY)
    anchors = np.asarray(kernel["anchors"], np.float64)
    assert len(np.unique(anchors, axis=0)) == 30
    assert all(any(np.array_equal(anchor, row) for row in features) for anchor in anchors)
    mean_square = np.square(euclidean_distances(features.astype(np.float64), anchors)).mean()
    expected = rbf_kernel(features.astype(np.float64), anchors, gamma=1 / (2 * 0.16 * mean_square))
    np.testing.assert_allclose(anchor_kernel.apply(kernel, features), expected, atol=1e-5)

    weights, bias = np.random.default_rng(0).normal(size=(30, 4)), np.arange(4.0)
    layer = anchor_kernel.as_layer(kernel, weights, bias)
    found = anchor_kernel.apply_layer(layer, features)
    np.testing.assert_allclose(found, expected @ weights + bias, atol=1e-4)


def test_few_and_equal_samples_are_anchors():
    kernel = anchor_kernel.draw(np.full((3, 2), 7, np.float32), 10, 1.0, KEY)
    assert kernel["anchors"].shape == (3, 2)
    np.testing.assert_array_equal(anchor_kernel.apply(kernel, np.full((2, 2), 7)), 1)


def test_features_without_finite_distances_are_refused():
    with pytest.raises(InputError, match=r"^features: up to 1e\+25 given; allowed: smaller"):
        anchor_kernel.draw(np.float32([[1e25], [0]]), 2, 1.0, KEY)
    with pytest.raises(InputError, match=r"^features: shape \(0, 3\) given; allowed: 1 sample"):
        anchor_kernel.draw(np.zeros((0, 3), np.float32), 2, 1.0, KEY)
