"""Graphs without their adjacency matrix against the matrix."""

import numpy as np
import pytest
from scipy.spatial import distance

from jhash.solvers import factored_graph


@pytest.fixture
def features():
    return np.random.default_rng(0).exponential(size=(30, 7)).astype(np.float32)


def matrix(built):
    return np.asarray(factored_graph.rows(built, np.arange(len(built.left))))


def test_cosine(features):
    features[4] = 0
    expected = 1 - distance.cdist(features, features, "cosine")
    expected[4] = expected[:, 4] = 0
    np.testing.assert_allclose(matrix(factored_graph.cosine(features)), expected, atol=1e-6)


def test_euclidean_falls_with_the_distance(features):
    found = matrix(factored_graph.euclidean(features))
    squares = distance.cdist(features, features, "sqeuclidean")
    largest = np.square(features).sum(1).max()
    np.testing.assert_allclose(found, 1 - squares / (2 * largest), atol=1e-6)
    assert found.min() >= -1
    assert found.max() <= 1 + 1e-6


def test_of_vectors_of_one_length_both_are_the_same(features):
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    found, expected = (matrix(metric(features)) for metric in factored_graph.METRICS.values())
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("metric", factored_graph.METRICS.values())
def test_degrees_and_rows(features, metric):
    built = metric(features - features.mean(0))
    expected = matrix(built)
    np.testing.assert_allclose(expected, expected.T, atol=1e-6)
    np.testing.assert_allclose(factored_graph.degrees(built), expected.sum(1), atol=1e-5)
    some = np.array([5, 2, 29])
    np.testing.assert_array_equal(factored_graph.rows(built, some), expected[some])
