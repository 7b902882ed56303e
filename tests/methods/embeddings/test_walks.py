"""Random walks against their probabilities, and what the codes of walks must be."""

import sys

import jax
import numpy as np
import pytest
import scipy.sparse

from jhash.errors import InputError
from jhash.methods.embeddings import walks

KEY = jax.random.key(3)


def test_steps_are_as_likely_as_their_weights():
    weights = np.array([
        [0, 1, 3, 0, 0],
        [1, 0, 2, 0, 0],
        [3, 2, 0, 5, 0],
        [0, 0, 5, 0, 0],
        [0, 0, 0, 0, 0],
    ])  # fmt: skip
    visited = walks.random_walks(scipy.sparse.csr_array(weights), walks=4000, length=6, seed=0)
    assert visited.shape == (20_000, 6)
    assert visited.dtype == np.int32
    starts = visited[:, 0].reshape(4000, 5)
    np.testing.assert_array_equal(np.sort(starts, axis=1), np.tile(np.arange(5), (4000, 1)))
    assert len(np.unique(starts[:, 0])) == 5
    counts = np.zeros((5, 5))
    np.add.at(counts, (visited[:, :-1], visited[:, 1:]), 1)
    assert counts[4, 4] == counts[4].sum() == 4000 * 5  # Nowhere to go.
    steps = counts[:4].sum(1, keepdims=True)
    expected = weights[:4] / weights[:4].sum(1, keepdims=True)
    assert (counts[:4][expected == 0] == 0).all()
    # Five standard deviations.
    margin = 5 * np.sqrt(expected * (1 - expected) / steps)
    assert (np.abs(counts[:4] / steps - expected) <= margin).all()


def test_walks_are_a_function_of_the_seed():
    weights = scipy.sparse.csr_array(1 - np.eye(20))
    one, again, other = (walks.random_walks(weights, 3, 10, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_codes_are_reproducible_balanced_and_those_of_the_clusters():
    rng = np.random.default_rng(0)
    which = rng.permutation(np.repeat(np.arange(4), 30))
    features = np.eye(8)[which] + 0.1 * rng.normal(size=(120, 8))
    codes = walks.embed(features, 32, KEY, neighbors=8)
    assert codes.shape == (120, 32)
    assert codes.dtype == np.float32
    bits = codes > 0
    np.testing.assert_array_equal(bits.sum(0), 60)
    distances = (bits[:, None] != bits).mean(-1)
    same = which[:, None] == which
    assert distances[same].mean() < 0.6 * distances[~same].mean()
    np.testing.assert_array_equal(codes, walks.embed(features, 32, KEY, neighbors=8))
    assert (codes != walks.embed(features, 32, jax.random.key(4), neighbors=8)).any()


def test_bad_input(monkeypatch):
    features = np.eye(12) + 1
    for option in ({"bits": 0}, {"walks": 0}, {"window": 0}, {"length": 1}):
        with pytest.raises(InputError, match=rf"^{next(iter(option))}: [01] given; allowed"):
            walks.embed(features, **{"bits": 4, "key": KEY, "neighbors": 3, **option})
    with pytest.raises(InputError, match=r"neighbors: 25 given; allowed: 1 to 11"):
        walks.embed(features, 4, KEY)
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(InputError, match=r"^name: 'walks' given .* pip install -e '\.\[walks\]'"):
        walks.embed(features, 4, KEY, neighbors=3)
