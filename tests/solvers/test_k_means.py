"""k-means against a loop of NumPy, and its way with empty groups."""

import jax
import numpy as np
import pytest

from jhash.solvers import k_means
from tests.support import clusters

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(4)


def test_centers_are_those_of_a_loop():
    features, _ = clusters.clusters([30, 20, 40], 0.3)
    centers = features[np.asarray(jax.random.permutation(KEY, len(features)))[:5]]
    centers = centers.astype(np.float64)
    for _ in range(3):
        distances = np.linalg.norm(features[:, None] - centers, axis=2)
        groups = distances.argmin(1)
        centers = np.stack([features[groups == group].mean(0) for group in range(5)])
    found, sizes = k_means.k_means(features, 5, KEY, iterations=3)
    np.testing.assert_allclose(found, centers, atol=1e-5)
    np.testing.assert_array_equal(sizes, np.bincount(groups, minlength=5))


def test_an_empty_group_keeps_its_center():
    found, sizes = k_means.k_means(np.full((4, 2), 3, np.float32), 2, KEY, iterations=2)
    np.testing.assert_array_equal(found, 3)
    assert sizes.tolist() == [4, 0]
