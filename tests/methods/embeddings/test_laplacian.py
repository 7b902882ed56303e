"""Codes of Laplacian eigenmaps: signs of the eigenvectors, balance, and components of the graph."""

import jax
import numpy as np
import pytest
import scipy.sparse

from jhash.errors import InputError
from jhash.methods.embeddings import laplacian
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


def test_bad_input(features):
    for bits in (0, 20):
        with pytest.raises(InputError, match=rf"bits: {bits} given; allowed: 1 to 19"):
            laplacian.embed(features[:20], bits, KEY, neighbors=5)
    assert laplacian.embed(features[:20], 19, KEY, neighbors=5).shape == (20, 19)
    with pytest.raises(InputError, match=r"neighbors: 25 given; allowed: 1 to 19"):
        laplacian.embed(features[:20], 4, KEY)
