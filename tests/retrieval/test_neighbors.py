"""The share of neighbors that codes keep, against orders of ties drawn at random."""

import numpy as np
import pytest

from jhash import retrieval
from jhash.errors import InputError


def test_it_is_the_expectation_over_orders_of_ties():
    rng = np.random.default_rng(0)
    q_features, db_features = rng.normal(size=(70, 6)), rng.normal(size=(50, 6))
    queries, database = (
        np.asarray(retrieval.pack_codes(features[:, :4])) for features in (q_features, db_features)
    )
    kept = retrieval.neighbors_kept(queries, database, q_features, db_features, bits=4, k=5)
    lengths = np.linalg.norm(db_features, axis=1)
    nearest = np.argsort(-(q_features @ db_features.T / lengths), axis=1)[:, :5]
    distances = np.bitwise_count(queries ^ database.T)
    drawn = np.zeros(70)
    for _ in range(400):
        order = np.lexsort((rng.random(distances.shape), distances), axis=1)[:, :5]
        drawn += (order[:, :, None] == nearest[:, None]).sum(axis=(1, 2)) / 5 / 400
    np.testing.assert_allclose(kept, drawn, atol=0.12)
    assert abs(kept.mean() - drawn.mean()) < 0.01


def test_all_and_none():
    features = np.eye(8, dtype=np.float32)
    codes = (1 << np.arange(8, dtype=np.uint32))[:, None]
    assert retrieval.neighbors_kept(codes, codes, features, features, 8, 1).tolist() == [1.0] * 8
    other = np.roll(features, 1, axis=0)
    assert retrieval.neighbors_kept(codes, codes, other, features, 8, 1).tolist() == [0.0] * 8
    assert retrieval.neighbors_kept(codes[:1], codes, features[:1] * 0, features, 8, 8) == [1.0]


def test_arrays_that_do_not_fit():
    codes, features = np.zeros((3, 1), np.uint32), np.ones((3, 2))
    with pytest.raises(InputError, match=r"^q_features: \[2, 2\] given; allowed: \[3, z\]"):
        retrieval.neighbors_kept(codes, codes, features[:2], features, 8, 1)
    with pytest.raises(InputError, match=r"^k: 4 given; allowed: 1 to 3"):
        retrieval.neighbors_kept(codes, codes, features, features, 8, 4)
    for wrong in (np.nan, np.inf):
        other = features.copy()
        other[1, 0] = wrong
        with pytest.raises(InputError, match=r"^db_features: NaN or infinity given; allowed: fini"):
            retrieval.neighbors_kept(codes, codes, features, other, 8, 1)
    with pytest.raises(InputError, match=r"^q_features: 1 features given; allowed: \d, as db_feat"):
        retrieval.neighbors_kept(codes, codes, features[:, :1], features, 8, 1)


def test_what_two_encoders_share_is_the_expectation_over_orders_of_ties():
    rng = np.random.default_rng(1)
    sides = [rng.integers(0, 64, (count, 1), dtype=np.uint32) for count in (70, 50, 70, 50)]
    sides[2] = sides[0] ^ np.uint32(1)  # One encoder is the other with a bit turned, for queries.
    sides[3] = sides[1]
    shared = retrieval.neighbors_shared(*sides, bits=6, k=7)

    def nearest(queries, database):
        distances = np.bitwise_count(queries ^ database.T)
        return np.lexsort((rng.random(distances.shape), distances), axis=1)[:, :7]

    drawn = np.zeros(70)
    for _ in range(400):
        one, other = nearest(*sides[:2]), nearest(*sides[2:])
        drawn += (one[:, :, None] == other[:, None]).sum(axis=(1, 2)) / 7 / 400
    np.testing.assert_allclose(shared, drawn, atol=0.1)
    assert abs(shared.mean() - drawn.mean()) < 0.01


def test_two_encoders_that_agree_or_have_one_code():
    codes = (1 << np.arange(8, dtype=np.uint32))[:, None]
    assert retrieval.neighbors_shared(codes, codes, codes, codes, 8, 1).tolist() == [1.0] * 8
    one = codes * 0
    np.testing.assert_allclose(retrieval.neighbors_shared(one, one, codes, codes, 8, 2), 2 / 8)
    with pytest.raises(InputError, match=r"^db_others: 7 codes given; allowed: 8, one per item"):
        retrieval.neighbors_shared(codes, codes, codes, codes[:7], 8, 1)
    with pytest.raises(InputError, match=r"^k: 9 given; allowed: 1 to 8"):
        retrieval.neighbors_shared(codes, codes, codes, codes, 8, 9)
