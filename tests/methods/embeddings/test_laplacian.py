"""Laplacian eigenmaps against dense solvers and scikit-learn, and what their codes must be."""

import inspect

import jax
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg
from sklearn.manifold import spectral_embedding

from jhash.errors import InputError
from jhash.methods.embeddings import laplacian
from jhash.solvers import eigenmaps, knn_graph, thresholds

KEY = jax.random.key(3)


def clusters(sizes, spread, seed=0, width=12):
    """Features around orthogonal directions, shuffled, and the direction of each."""
    rng = np.random.default_rng(seed)
    which = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    noise = spread * rng.normal(size=(len(which), width))
    return (np.eye(width)[which] + noise).astype(np.float32), which


@pytest.fixture(scope="module")
def features():
    return clusters([80, 60, 50, 70], 0.35)[0]


@pytest.fixture(scope="module")
def graph(features):
    graph = knn_graph.build(features, 10)
    assert scipy.sparse.csgraph.connected_components(graph)[0] == 1
    return graph


def test_eigenvectors_are_those_of_the_generalised_problem(graph):
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


def test_codes_are_reproducible_balanced_and_those_of_the_signs(features, graph):
    codes = laplacian.embed(features, 12, KEY, neighbors=10)
    assert codes.shape == (260, 12)
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes, laplacian.embed(features, 12, KEY, neighbors=10))
    vectors = eigenmaps.eigenmaps(graph, 12, KEY)
    np.testing.assert_array_equal(codes > 0, vectors > np.median(vectors, axis=0))
    np.testing.assert_array_equal((codes > 0).sum(0), 130)
    # The key starts the solver only, in a graph of one part.
    other = laplacian.embed(features, 12, jax.random.key(4), neighbors=10)
    np.testing.assert_allclose(codes, other, atol=1e-6)


def test_parts_of_a_graph_get_codes_of_their_own():
    features, which = clusters([40] * 8, 0.02)
    graph = knn_graph.build(features, 10)
    assert scipy.sparse.csgraph.connected_components(graph)[0] == 8
    codes = laplacian.embed(features, 7, KEY, neighbors=10) > 0
    of_parts = np.stack([codes[which == i][0] for i in range(8)])
    np.testing.assert_array_equal(codes, of_parts[which])
    assert len(np.unique(of_parts, axis=0)) == 8
    np.testing.assert_array_equal(of_parts.sum(0), 4)


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


def test_a_small_part_is_told_from_a_large_one():
    # The median is a value of the large part, whichever sign the eigenvector has.
    features, which = clusters([60, 20], 0.02)
    for seed in range(4):
        bit = laplacian.embed(features, 1, jax.random.key(seed), neighbors=5)[:, 0] > 0
        assert len(set(bit[which == 0])) == len(set(bit[which == 1])) == 1
        assert bit[which == 0][0] != bit[which == 1][0]


def test_copies_of_a_few_features_are_reproducible():
    # Cliques: few distinct eigenvalues, so that Lanczos's method must start again and again.
    features, _ = clusters([30] * 6, 0)
    codes = laplacian.embed(features, 24, KEY, neighbors=40)
    assert np.isfinite(codes).all()
    np.testing.assert_array_equal(codes, laplacian.embed(features, 24, KEY, neighbors=40))


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
    with pytest.raises(InputError, match=r"features: 12 eigenvectors .* not found .* copies"):
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


def test_bad_input(features):
    for bits in (0, 20):
        with pytest.raises(InputError, match=rf"bits: {bits} given; allowed: 1 to 19"):
            laplacian.embed(features[:20], bits, KEY, neighbors=5)
    assert laplacian.embed(features[:20], 19, KEY, neighbors=5).shape == (20, 19)
    with pytest.raises(InputError, match=r"neighbors: 25 given; allowed: 1 to 19"):
        laplacian.embed(features[:20], 4, KEY)


def test_thresholds_part_columns_as_evenly_as_ties_allow():
    columns = np.array([
        [1, 2, 3, 4, 5, 6],
        [1, 1, 1, 1, 2, 3],
        [1, 2, 3, 3, 3, 3],
        [1, 1, 1, 2, 2, 2],
        [7, 7, 7, 7, 7, 7],
        [1, 1 + 1e-12, 1 + 2e-12, 1 + 3e-12, 1 + 4e-12, 1 + 5e-12],
    ]).T  # fmt: skip
    bits = thresholds.center_at_median(columns) > 0
    expected = [
        [0, 0, 0, 1, 1, 1],
        [0, 0, 0, 0, 1, 1],
        [0, 0, 1, 1, 1, 1],
        [0, 0, 0, 1, 1, 1],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1],
    ]
    np.testing.assert_array_equal(bits.T, expected)
