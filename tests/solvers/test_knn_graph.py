"""Nearest neighbors against brute force in NumPy."""

import jax
import numpy as np
import pytest

from jhash.errors import InputError
from jhash.solvers import knn_graph


def brute_force(features, count):
    """In float64, in the order (cosine falling, index)."""
    features = np.asarray(features, np.float64)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.where(lengths > 0, lengths, 1)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(cosines, order, axis=1)


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32) + 0.2


@pytest.mark.parametrize("block", [2**25, 300 * 64, 1])
def test_neighbors_are_those_of_brute_force_in_any_blocks(features, block, monkeypatch):
    monkeypatch.setattr(knn_graph, "_BLOCK", block)
    knn_graph.nearest.clear_cache()
    indices, cosines = knn_graph.nearest(features, 7)
    expected, values = brute_force(features, 7)
    assert indices.dtype == np.int32
    assert cosines.dtype == np.float32
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(cosines, values, atol=1e-6)


def test_ties_go_to_the_lower_index_and_no_sample_is_its_own_neighbor():
    # Lengths 1 and 2 and few directions: cosines of 0, 1/2, 1, -1/2 and -1, all exact.
    rng = np.random.default_rng(1)
    directions = np.array([[1, 1, 1, 1], [2, 0, 0, 0], [1, 1, -1, -1], [0, 0, 0, 0]], np.float32)
    features = directions[rng.integers(4, size=60)] * rng.choice([-1, 1, 2], (60, 1))
    for count in (1, 20, 59):
        indices, cosines = knn_graph.nearest(features, count)
        expected, values = brute_force(features, count)
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_array_equal(cosines, values)
        assert (np.asarray(indices) != np.arange(60)[:, None]).all()


def test_memory_is_bounded_by_blocks():
    features = jax.ShapeDtypeStruct((100_000, 1536), np.float32)
    compiled = knn_graph.nearest.lower(features, 25).compile()
    # The directions are 0.6 GB; all cosines would be 40 GB.
    assert compiled.memory_analysis().temp_size_in_bytes < 1.5e9


def test_the_graph_joins_what_is_near_in_either_direction(features):
    graph = knn_graph.build(features, 5)
    expected = np.zeros((300, 300))
    indices, cosines = brute_force(features, 5)
    np.put_along_axis(expected, indices, np.maximum(cosines, 0), axis=1)
    np.testing.assert_allclose(graph.toarray(), np.maximum(expected, expected.T), atol=1e-6)
    assert graph.dtype == np.float32
    np.testing.assert_array_equal(graph.toarray(), graph.toarray().T)
    assert (graph.diagonal() == 0).all()
    assert graph.nnz <= 2 * 300 * 5


def test_opposite_and_empty_features_are_no_edges():
    graph = knn_graph.build(np.array([[1, 0], [2, 0.1], [-1, 0], [0, 0]], np.float32), 3)
    assert list(zip(*graph.nonzero(), strict=True)) == [(0, 1), (1, 0)]


def test_bad_input(features):
    for count in (0, 300):
        with pytest.raises(InputError, match=rf"neighbors: {count} given; .* 1 to 299"):
            knn_graph.nearest(features, count)
    broken = features.copy()
    broken[7, 3] = np.nan
    with pytest.raises(InputError, match=r"v_Nxz: features given .* NaN or infinite; allowed: fin"):
        knn_graph.build(broken, 5)
    # Squares that are infinite or 0 in float32 would make every cosine 0.
    for scale in (1e25, 1e-30):
        with pytest.raises(InputError, match=r"v_Nxz: .* whose squares are finite in float32"):
            knn_graph.build(features * np.float32(scale), 5)
    with pytest.raises(InputError, match=r"v_Nxz: 1 samples given; allowed: 2 or more"):
        knn_graph.build(features[:1], 1)
