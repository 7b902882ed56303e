import jax
import numpy as np
import pytest

from jhash import retrieval
from jhash.errors import InputError
from jhash.retrieval import hamming

BITS = [1, 12, 31, 32, 33, 48, 64, 255, 256, 512]


def codes(rng, n, bits):
    signs = rng.choice([-1, 1], (n, bits)).astype(np.int32)
    return signs, retrieval.pack_codes(signs)


def reference(q, db):
    return (q.shape[1] - q @ db.T) // 2


@pytest.mark.parametrize("bits", BITS)
def test_distances_and_topk(bits):
    rng = np.random.default_rng(bits)
    q, q_packed = codes(rng, 5, bits)
    db, db_packed = codes(rng, 300, bits)
    db[200:] = db[:100]  # Ties everywhere, also for long codes.
    db_packed = retrieval.pack_codes(db)
    expected = reference(q, db)
    found = retrieval.hamming_distances(q_packed, db_packed)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)
    order = np.argsort(expected, axis=1, kind="stable")
    for k in (1, 17, 300):
        distances, indices = retrieval.hamming_topk(q_packed, db_packed, k)
        assert distances.dtype == indices.dtype == np.int32
        np.testing.assert_array_equal(indices, order[:, :k])
        np.testing.assert_array_equal(distances, np.take_along_axis(expected, order[:, :k], 1))


@pytest.mark.parametrize("queries", [0, 1, 130, 257])
@pytest.mark.parametrize(
    ("database", "k"), [(1, 1), (101, 7), (256, 256), (1000, 65), (1000, 1000)]
)
def test_topk_over_ragged_tiles(monkeypatch, queries, database, k):
    monkeypatch.setattr(hamming, "_TILE_DATABASE", 64)
    jax.clear_caches()
    rng = np.random.default_rng(queries)
    q, q_packed = codes(rng, queries, 12)
    db, db_packed = codes(rng, database, 12)
    distances, indices = retrieval.hamming_topk(q_packed, db_packed, k)
    assert distances.shape == indices.shape == (queries, k)
    expected = reference(q, db)
    np.testing.assert_array_equal(indices, np.argsort(expected, axis=1, kind="stable")[:, :k])
    np.testing.assert_array_equal(distances, np.sort(expected, axis=1)[:, :k])
    jax.clear_caches()


def test_topk_of_equal_codes_keeps_the_order():
    same = np.zeros((20_000, 1), np.uint32)
    distances, indices = retrieval.hamming_topk(same[:2], same, 9_000)
    assert not distances.any()
    np.testing.assert_array_equal(indices, np.tile(np.arange(9_000), (2, 1)))


def test_topk_memory_is_bounded_by_tiles():
    queries = jax.ShapeDtypeStruct((10_000, 2), np.uint32)
    database = jax.ShapeDtypeStruct((200_000, 2), np.uint32)
    compiled = hamming._topk.lower(queries, database, 100).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 100e6  # All distances take 8 GB.


def test_bad_input():
    one, two = np.zeros((4, 1), np.uint32), np.zeros((4, 2), np.uint32)
    with pytest.raises(InputError, match=r"k: got 5; allowed are 1 to 4"):
        retrieval.hamming_topk(one, one, 5)
    with pytest.raises(InputError, match="k: got 0"):
        retrieval.hamming_topk(one, one, 0)
    with pytest.raises(InputError, match="queries: got 1 words a code and 2 in database"):
        retrieval.hamming_distances(one, two)
    with pytest.raises(InputError, match="database: got float32"):
        retrieval.hamming_topk(one, one.astype(np.float32), 1)
    with pytest.raises(InputError, match="queries: got 17 words"):
        retrieval.hamming_distances(np.zeros((4, 17), np.uint32), one)
