"""Laplacian eigenmaps against dense solvers and scikit-learn."""

import inspect

import jax
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg
from sklearn.manifold import spectral_embedding

from jhash.errors import InputError
from jhash.solvers import eigenmaps, knn_graph
from tests.support.clusters import clusters, joined_clusters

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def joined():
    return joined_clusters()


@pytest.fixture(scope="module")
def features(joined):
    return joined[0]


@pytest.fixture(scope="module")
def graph(joined):
    return joined[1]


def test_eigenvectors_are_those_of_the_generalized_problem(graph):
    found = eigenmaps.eigenmaps(graph, 12, KEY)
    dense = graph.toarray().astype(np.float64)
    degrees = np.diag(dense.sum(1))
    values, vectors = scipy.linalg.eigh(degrees - dense, degrees)
    assert values[1] > 1e-3
    assert np.diff(values[:14]).min() > 1e-4  # No eigenvalue is double: each vector is unique.
    np.testing.assert_allclose(np.abs(found.T @ degrees @ vectors[:, 1:13]), np.eye(12), atol=1e-8)
    assert (np.take_along_axis(found, np.abs(found).argmax(0)[None], 0) > 0).all()


def test_eigenvectors_are_those_of_scikit_learn(graph):
    found = eigenmaps.eigenmaps(graph, 6, KEY)
    theirs = spectral_embedding(
        scipy.sparse.csr_matrix(graph.astype(np.float64)), n_components=6, random_state=0
    )
    found, theirs = (x / np.linalg.norm(x, axis=0) for x in (found, theirs))
    np.testing.assert_allclose(np.abs((found * theirs).sum(0)), 1, atol=1e-6)


def test_a_graph_in_parts_has_the_eigenvalues_of_a_dense_solver():
    features, _ = clusters([40, 60, 50], 0.02)
    graph = knn_graph.build(features, 10)
    dense = graph.toarray().astype(np.float64)
    degrees = np.diag(dense.sum(1))
    expected = scipy.linalg.eigh(degrees - dense, degrees, eigvals_only=True)
    np.testing.assert_allclose(expected[:3], 0, atol=1e-9)
    assert expected[3] > 1e-3
    for count in (1, 2, 10):
        found = eigenmaps.eigenmaps(graph, count, KEY)
        energy = found.T @ (degrees - dense) @ found
        np.testing.assert_allclose(energy, np.diag(expected[1 : count + 1]), atol=1e-8)
        np.testing.assert_allclose(found.T @ degrees @ found, np.eye(count), atol=1e-8)
        np.testing.assert_allclose(degrees.diagonal() @ found, 0, atol=1e-8)  # 1 is dropped.


def test_a_graph_that_halves_itself_is_reproducible():
    # From any vector Lanczos's method soon meets nothing new: all eigenvalues are -1, 0 and 1.
    graph = scipy.sparse.csr_array(np.kron([[0, 1], [1, 0]], np.ones((30, 30))))
    found = eigenmaps.eigenmaps(graph, 5, KEY)
    np.testing.assert_allclose(found.T @ found, np.eye(5) / 30, atol=1e-9)
    np.testing.assert_allclose(found.T @ (graph @ found), 0, atol=1e-9)
    if "rng" in inspect.signature(scipy.sparse.linalg.eigsh).parameters:  # SciPy >= 1.17
        np.testing.assert_array_equal(found, eigenmaps.eigenmaps(graph, 5, KEY))


def fail_first(monkeypatch, failures):
    """The eigensolver's first calls fail; a list of the directions that each call is given."""
    solve, tried = scipy.sparse.linalg.eigsh, []

    def fail(*args, ncv, **kwargs):
        tried.append(ncv)
        if len(tried) <= failures:
            raise scipy.sparse.linalg.ArpackError(3)
        return solve(*args, ncv=ncv, **kwargs)

    monkeypatch.setattr(scipy.sparse.linalg, "eigsh", fail)
    return tried


def test_an_eigensolver_that_fails_gets_more_directions(graph, monkeypatch):
    expected = eigenmaps.eigenmaps(graph, 12, KEY)
    tried = fail_first(monkeypatch, 1)
    np.testing.assert_allclose(eigenmaps.eigenmaps(graph, 12, KEY), expected, atol=1e-8)
    assert tried == [25, 50]


def test_an_eigensolver_that_fails(graph, monkeypatch):
    tried = fail_first(monkeypatch, 3)
    with pytest.raises(InputError, match=r"weights: .* 12 eigenvectors .* not found .* copies"):
        eigenmaps.eigenmaps(graph, 12, KEY)
    assert tried == [25, 50, 100]


def test_samples_without_edges_are_at_the_mean():
    features, _ = clusters([40, 40], 0.3)
    features[[3, 50]] = 0
    graph = knn_graph.build(features, 10)
    found = eigenmaps.eigenmaps(graph, 5, KEY)
    np.testing.assert_array_equal(found[[3, 50]], 0)
    rest = np.delete(np.arange(80), [3, 50])
    alone = eigenmaps.eigenmaps(graph[rest][:, rest], 5, KEY)
    np.testing.assert_allclose(found[rest], alone, atol=1e-8)


def test_counts_that_are_not_allowed(graph):
    few = graph[:20][:, :20]
    joined = np.count_nonzero(few.sum(1))
    for count in (0, joined):
        with pytest.raises(InputError, match=rf"bits: {count} given; allowed: 1 to {joined - 1},"):
            eigenmaps.eigenmaps(few, count, KEY)


def test_a_graph_without_edges():
    graph = knn_graph.build(np.zeros((5, 3), np.float32), 2)
    with pytest.raises(InputError, match=r"^weights: a graph of 5 samples without edges given"):
        eigenmaps.eigenmaps(graph, 1, KEY)
