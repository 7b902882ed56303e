"""Features spread along a graph, against the closed form of endless rounds."""

import numpy as np
import pytest
from sklearn.neighbors import kneighbors_graph

from jhash.errors import InputError
from jhash.solvers import neighbor_diffusion


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(0).normal(size=(90, 7)).astype(np.float32) + 0.3


def normalized(x, neighbors):
    """D^-1/2 A D^-1/2 in float64 of features of length 1, with scikit-learn's neighbors."""
    joined = kneighbors_graph(x, neighbors, metric="cosine").toarray() > 0
    weights = np.where(joined | joined.T, np.maximum(x @ x.T, 0), 0)
    roots = np.sqrt(weights.sum(1))
    return weights / roots / roots[:, None]


@pytest.mark.parametrize("weight", [0.5, 0.9])
def test_many_rounds_end_at_the_closed_form(features, weight):
    x = features / np.float64(np.linalg.norm(features, axis=1, keepdims=True))
    s = normalized(x, 6)
    expected = (1 - weight) * np.linalg.solve(np.eye(90) - weight * s, x)
    found = neighbor_diffusion.diffuse(features, 6, weight, 300)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    once = neighbor_diffusion.diffuse(3 * features, 6, weight, 1)
    np.testing.assert_allclose(once, weight * s @ x + (1 - weight) * x, atol=1e-6)


def test_without_rounds_or_weight_only_the_length_changes(features):
    x = features / np.linalg.norm(features, axis=1, keepdims=True)
    for weight, rounds in ((0.9, 0), (0.0, 5)):
        found = neighbor_diffusion.diffuse(features, 6, weight, rounds)
        np.testing.assert_allclose(found, x, atol=1e-6)


def test_a_sample_without_edges_keeps_its_direction(features):
    alone = np.concatenate([features, np.zeros((1, 7), np.float32)])
    alone = np.concatenate([np.abs(alone), -np.ones((1, 7), np.float32)])
    found = neighbor_diffusion.diffuse(alone, 6, 0.9, 20)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[-2], 0)
    np.testing.assert_allclose(found[-1] / found[-1, 0], 1, rtol=1e-5)
    assert found[-1, 0] < 0


@pytest.mark.parametrize("weight", [-0.1, 1.0, float("nan")])
def test_weights_out_of_range_are_refused(features, weight):
    with pytest.raises(InputError, match=r"^weight: .* given; allowed: 0 to below 1\."):
        neighbor_diffusion.diffuse(features, 6, weight, 1)
