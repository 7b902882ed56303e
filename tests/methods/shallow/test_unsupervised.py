"""Density sensitive hashing, BRE without labels, STH and IMH."""

import jax
import numpy as np
import pytest
from sklearn.svm import LinearSVC

from jhash import retrieval
from jhash.errors import InputError
from jhash.methods.shallow import bre, density_sensitive, imh, sth
from jhash.solvers import eigenmaps, knn_graph, thresholds
from tests.support import clusters

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(3)


def test_planes_are_those_that_divide_neighbors_most_evenly():
    rng = np.random.default_rng(0)
    centers, sizes = rng.normal(size=(9, 4)), rng.integers(1, 20, 9)
    balance = {}
    for i in range(9):
        distances = [np.sum((centers[i] - centers[j]) ** 2) for j in range(9)]
        for j in np.argsort(distances)[1:4]:
            closer = [
                np.sum((center - centers[i]) ** 2) < np.sum((center - centers[j]) ** 2)
                for center in centers
            ]
            one = sizes[closer].sum()
            two = sizes.sum() - one
            balance[frozenset((i, int(j)))] = min(one, two) / max(one, two)
    left, right = density_sensitive.choose(centers, sizes, 6)
    found = [balance[frozenset(pair)] for pair in zip(left.tolist(), right.tolist(), strict=True)]
    assert len({frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)}) == 6
    np.testing.assert_allclose(found, sorted(balance.values(), reverse=True)[:6])


def test_few_groups_have_all_pairs_and_no_more():
    features = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    params = density_sensitive.fit(features, None, 6, KEY)
    outputs = np.asarray(density_sensitive.encode(params, features))
    # Each plane is halfway between two samples: 0 at their middle, and opposite at the two.
    assert params["kernel"].shape == (3, 6)
    assert all(np.isclose(column, -column[:, None], atol=1e-5).any() for column in outputs.T)
    with pytest.raises(InputError, match=r"^bits: 7 given; allowed: 1 to 6, as there are 4 samp"):
        density_sensitive.fit(features, None, 7, KEY)


def test_groups_are_one_and_a_half_a_bit_after_three_rounds(monkeypatch):
    """The constants of the authors' code."""
    features, k_means = clusters.clusters([25, 20, 30, 25], 0.2)[0], density_sensitive.k_means
    seen, make = [], k_means.k_means

    def spy(features, groups, key, *, iterations):
        seen.append((groups, iterations))
        return make(features, groups, key, iterations=iterations)

    monkeypatch.setattr(k_means, "k_means", spy)
    for bits in (6, 11):
        density_sensitive.fit(features, None, bits, KEY)
    assert seen == [(9, 3), (17, 3)]


@pytest.mark.parametrize("method", [density_sensitive, bre], ids=["density_sensitive", "bre"])
def test_clusters_have_codes_of_their_own(method):
    features, which = clusters.clusters([25, 20, 30, 25], 0.2)
    params = method.fit(features, None, 6, KEY)
    codes = np.asarray(retrieval.pack_codes(method.encode(params, features)))
    assert retrieval.mean_average_precision(codes, codes, which, which, 6) > 0.6
    features = np.full_like(features, 0.1)
    outputs = np.asarray(method.encode(method.fit(features, None, 6, KEY), features))
    assert np.isfinite(outputs).all()
    assert len(np.unique(np.asarray(retrieval.pack_codes(outputs)))) == 1


def test_bre_needs_a_pair():
    with pytest.raises(InputError, match=r"^features: 1 samples given; allowed: 2 or more"):
        bre.fit(np.ones((1, 3), np.float32), None, 2, KEY)


def cut(features, bits, neighbors):
    """The bits of STH's graph."""
    centered = features - features.mean(0)
    graph = knn_graph.build(centered, neighbors)
    return thresholds.center_at_median(eigenmaps.eigenmaps(graph, bits, KEY)) > 0


def test_sth_learns_the_bits_of_its_graph():
    features, which = clusters.clusters([80, 60, 50, 70], 0.35)
    # A mean far from 0 and another unit change nothing.
    params = sth.fit(features, None, 8, KEY, neighbors=10, cost=10.0)
    codes = np.asarray(sth.encode(params, features)) > 0
    x = features - features.mean(0)
    x /= np.sqrt((x**2).sum(1).mean())
    machines = [LinearSVC(C=10.0, dual=False).fit(x, bit) for bit in cut(features, 8, 10).T]
    expected = np.stack([machine.predict(x) for machine in machines], axis=1)
    assert (codes == expected).mean() > 0.99
    moved = 100 * features + 30
    params = sth.fit(moved, None, 8, KEY, neighbors=10, cost=10.0)
    assert ((np.asarray(sth.encode(params, moved)) > 0) == codes).mean() > 0.99
    packed = np.asarray(retrieval.pack_codes(codes))
    assert retrieval.mean_average_precision(packed, packed, which, which, 8) > 0.6


@pytest.mark.parametrize("embedding", imh.EMBEDDINGS)
def test_imh_weighs_the_nearest_centers(embedding):
    features, which = clusters.clusters([25, 20, 30, 25], 0.2)
    params = imh.fit(features, None, 6, KEY, centers=20, embedding=embedding, iterations=300)
    assert params["centers"].shape == (20, 12)
    centers, y = np.float64(params["centers"]), np.float64(params["coordinates"])
    squares = [[np.sum((x - center) ** 2) for center in centers] for x in np.float64(features)]
    nearest = np.argsort(squares, axis=1)[:, :5]
    width = np.take_along_axis(np.array(squares), nearest, axis=1).mean()
    np.testing.assert_allclose(params["width"], width, rtol=1e-4)
    expected = []
    for row, places in zip(squares, nearest, strict=True):
        weights = [np.exp(-row[place] / width) for place in places]
        total = sum(weight * y[place] for weight, place in zip(weights, places, strict=True))
        expected.append(total / sum(weights))
    found = imh.encode(params, features)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(y).max())
    if embedding == "tsne":  # Each bit of the centers is cut in halves; a graph has equal values.
        np.testing.assert_array_equal((y > 0).sum(0), 10)
    codes = np.asarray(retrieval.pack_codes(found))
    assert retrieval.mean_average_precision(codes, codes, which, which, 6) > 0.6


@pytest.mark.parametrize("embedding", imh.EMBEDDINGS)
def test_imh_of_alike_or_few_samples(embedding):
    alike = np.full((9, 3), 0.1, np.float32)
    outputs = imh.encode(imh.fit(alike, None, 4, KEY, embedding=embedding, iterations=20), alike)
    assert np.isfinite(outputs).all()
    assert len(np.unique(np.asarray(retrieval.pack_codes(outputs)))) == 1
    with pytest.raises(InputError, match=r"^features: 1 samples given; allowed: 2 or more"):
        imh.fit(alike[:1], None, 2, KEY, embedding=embedding)
