"""Density sensitive hashing, and BRE without labels."""

import jax
import numpy as np
import pytest

from jhash import retrieval
from jhash.errors import InputError
from jhash.methods.shallow import bre, density_sensitive
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
