"""t-SNE: its gradient against loops and differences, its affinities against scikit-learn's."""

import jax
import numpy as np
import pytest
from scipy.spatial.distance import squareform
from sklearn.manifold import _t_sne
from sklearn.metrics import pairwise_distances

from jhash.solvers import tsne
from tests.support import clusters

pytestmark = pytest.mark.usefixtures("quick_compilation")

N = 30


def samples():
    return np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)


def divergence(p, y):
    """With loops over pairs."""
    freedom, q = max(y.shape[1] - 1, 1), np.zeros((N, N))
    for i in range(N):
        for j in range(N):
            if i != j:
                q[i, j] = (1 + ((y[i] - y[j]) ** 2).sum() / freedom) ** (-(freedom + 1) / 2)
    q /= q.sum()
    others = ~np.eye(N, dtype=bool)
    return (p[others] * np.log(p[others] / q[others])).sum()


def test_affinities_are_those_of_scikit_learn():
    x = samples()
    distances = np.float32(pairwise_distances(x, squared=True))
    expected = squareform(_t_sne._joint_probabilities(distances, 8.0, 0))
    found = np.asarray(jax.jit(tsne.affinities)(x, 8.0))
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-7)
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 3])
def test_the_gradient_is_that_of_the_divergence(count):
    p = np.float64(tsne.affinities(samples(), 8.0))
    p /= p.sum()
    y = np.random.default_rng(1).normal(size=(N, count))
    found = jax.jit(tsne.gradient)(p, y.astype(np.float32))
    for place in [(0, 0), (7, count - 1)]:
        step = np.zeros_like(y)
        step[place] = 1e-5
        slope = (divergence(p, y + step) - divergence(p, y - step)) / 2e-5
        np.testing.assert_allclose(found[place], slope, rtol=1e-3, atol=1e-6)


def test_clusters_stay_together():
    x, which = clusters.clusters([15, 15, 15], 0.05)
    embed = jax.jit(tsne.embed, static_argnums=1, static_argnames="iterations")
    y = np.asarray(embed(x, 5, jax.random.key(0), iterations=400))
    assert np.isfinite(y).all()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-3)
    centers = np.stack([y[which == group].mean(0) for group in range(3)])
    assert (np.linalg.norm(y[:, None] - centers, axis=2).argmin(1) == which).all()
    again = embed(x, 5, jax.random.key(0), iterations=400)
    np.testing.assert_array_equal(again, y)


def test_more_coordinates_than_features():
    y = tsne.embed(samples()[:6], 8, jax.random.key(0), iterations=20)
    assert np.isfinite(y).all()
    assert (np.std(y, 0) > 0).all()
