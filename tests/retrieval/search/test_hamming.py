import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash import retrieval
from jhash.errors import InputError
from jhash.retrieval.search import hamming, layout
from tests.support.packed import all_distances, assert_nearest

# Whole words, a word that is not full, word counts that divide 256 or not, and both sides of the
# step from 8 to 16 bits for distances, which is between 7 and 8 words.
BITS = [1, 160, 224, 225, 512]


def pack(rng, n, bits):
    return np.asarray(retrieval.pack_codes(rng.random((n, bits)) < 0.5))


def databases(rng, n, bits):
    """Random codes, codes with ties beyond each tile and group, and codes as far as can be."""
    codes = pack(rng, n, bits)
    yield codes
    yield codes[rng.integers(0, 5, n)]
    yield np.tile(codes[:1], (n, 1))
    opposite = np.asarray(retrieval.pack_codes(np.ones((1, bits), bool)))
    yield np.where(rng.random((n, 1)) < 0.5, codes[:1], codes[:1] ^ opposite)


def masks(rng, n):
    """Live rows: dead ones strewn, in aligned blocks of every size, and all but one."""
    for share in (0.01, 0.5, 0.99):
        yield rng.random(n) < share
    for size in 2 ** np.arange(1, 12):
        yield np.repeat(rng.random(-(-n // size)) < 0.5, size)[:n] | (np.arange(n) == n // 3)
    for position in (0, n // 2, n - 1):
        yield np.arange(n) == position


@pytest.fixture
def traced(monkeypatch):
    """The shape of the groups [groups, size, words, lanes] in every search that is compiled."""
    shapes = []
    search, minima = hamming._search, hamming._minima

    def search_anew(*args, **kwargs):
        shapes.append(None)
        return search(*args, **kwargs)

    def spy(codes, *args):
        shapes[-1] = codes.shape
        return minima(codes, *args)

    monkeypatch.setattr(hamming, "_search", search_anew)
    monkeypatch.setattr(hamming, "_minima", spy)
    return shapes


@pytest.mark.parametrize("bits", [1, 31, 32, 33, 255, 512])
def test_distances(bits):
    rng = np.random.default_rng(bits)
    queries, database = (rng.choice([-1, 1], (n, bits)) for n in (5, 300))
    found = retrieval.hamming_distances(*map(retrieval.pack_codes, (queries, database)))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, (bits - queries @ database.T) // 2)


@pytest.mark.slow
@pytest.mark.parametrize("bits", BITS)
def test_topk(bits):
    rng = np.random.default_rng(bits)
    for database in databases(rng, 2000, bits):
        queries = np.concatenate([database[:3], pack(rng, 2, bits)])
        assert_nearest(retrieval.hamming_topk(queries, database, 10), queries, database, 10)


@pytest.mark.slow
@pytest.mark.parametrize("words", [1, 3, 5, 6, 7, 9, 12, 16])
def test_one_query_in_lanes(words):
    """Of a word count that divides nothing, too; half of the rows are dead."""
    rng = np.random.default_rng(words)
    for n in (20_000, 90_000):
        database = rng.integers(0, 2**32, (n, words), dtype=np.uint32)
        live = rng.random(n) < 0.5
        prepared = layout.prepare(database, live)
        assert prepared.lanes.size
        query = rng.integers(0, 2**32, (1, words), dtype=np.uint32)
        distances = np.bitwise_count(database ^ query).sum(1)
        distances[~live] = 10**6
        nearest = np.argsort(distances, kind="stable")[:10]
        found, positions = hamming.search(prepared, query, 10)
        np.testing.assert_array_equal(positions[0], nearest)
        np.testing.assert_array_equal(found[0], distances[nearest])


@pytest.mark.slow
@pytest.mark.parametrize(("k", "min_size", "max_size"), [(1, 16, 64), (100, 2, 4), (700, 1, 1)])
def test_topk_over_group_sizes(traced, k, min_size, max_size):
    rng = np.random.default_rng(k)
    for n in (700, 1999, 2048):
        database = pack(rng, n, 12)
        queries = pack(rng, 7, 12)
        assert_nearest(retrieval.hamming_topk(queries, database, k), queries, database, k)
    assert len(traced) == 1
    assert min_size <= traced[0][1] <= max_size


@pytest.mark.slow
def test_topk_of_one():
    rng = np.random.default_rng(1)
    queries, database = pack(rng, 3, 4), pack(rng, 1, 4)
    assert_nearest(retrieval.hamming_topk(queries, database, 1), queries, database, 1)


@pytest.mark.slow
def test_compiled_once_for_all_numbers_of_queries(traced):
    rng = np.random.default_rng(0)
    for n in (1100, 1800):
        prepared = layout.prepare(database := pack(rng, n, 48))
        for count in (0, 1, 2, 3, 16, 17, 128, 129, 300):
            queries = pack(rng, count, 48)
            assert_nearest(hamming.search(prepared, queries, 10), queries, database, 10)
    # Tiles of 16, 32 and 128 queries.
    assert len(traced) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("count", "k"), [(1, 10), (1, 1000), (3, 10)])
def test_dead_rows_in_lanes_and_in_rows(traced, count, k):
    rng = np.random.default_rng(count)
    for live in masks(rng, 20_000):
        for database in (pack(rng, 20_000, 8), pack(rng, 20_000, 32)):
            prepared = layout.prepare(database, live)
            queries = pack(rng, count, 32)
            assert_nearest(hamming.search(prepared, queries, k), queries, database, k, live)
    assert len(traced) == 1
    assert traced[0][1] > 1
    assert traced[0][3] == (1 if count == 3 else layout.LANES)


@pytest.mark.slow
def test_two_queries_and_long_codes_in_lanes(traced):
    rng = np.random.default_rng(2)
    for database in databases(rng, 17_000, 225):
        prepared = layout.prepare(database)
        queries = np.concatenate([database[-1:], pack(rng, 1, 225)])
        assert_nearest(hamming.search(prepared, queries, 20), queries, database, 20)
    assert [shape[3] for shape in traced] == [layout.LANES]


@pytest.mark.slow
def test_all_codes_of_a_database_with_lanes():
    rng = np.random.default_rng(3)
    database = pack(rng, 17_000, 6)
    queries = pack(rng, 1, 6)
    prepared = layout.prepare(database)
    assert prepared.lanes.size
    assert_nearest(hamming.search(prepared, queries, 17_000), queries, database, 17_000)


@pytest.mark.slow
def test_more_candidates_than_fit_one_word_to_sort():
    rng = np.random.default_rng(4)
    database, queries = pack(rng, 65_530, 256), pack(rng, 1, 256)
    found = retrieval.hamming_topk(queries, database, 65_530)
    assert_nearest(found, queries, database, 65_530)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "count"), [(1500, 300), (17_000, 2), (1500, 0)])
def test_search_inside_jit(n, count):
    rng = np.random.default_rng(count)
    database, queries = pack(rng, n, 64), pack(rng, count, 64)
    live = rng.random(n) < 0.5
    prepared = layout.prepare(database, live)
    found = jax.jit(lambda queries: hamming.search(prepared, queries, 7))(queries)
    assert_nearest(found, queries, database, 7, live)


@pytest.mark.slow
def test_topk_inside_jit_and_of_jax_arrays():
    rng = np.random.default_rng(5)
    database, queries = pack(rng, 500, 16), pack(rng, 4, 16)
    on_device = jnp.asarray(queries), jnp.asarray(database)
    found = retrieval.hamming_topk(*on_device, 10)
    assert all(isinstance(part, jax.Array) for part in found)
    assert_nearest(found, queries, database, 10)
    found = jax.jit(retrieval.hamming_topk, static_argnums=2)(*on_device, 10)
    assert_nearest(found, queries, database, 10)


def test_count_within():
    rng = np.random.default_rng(6)
    database = pack(rng, 2000, 40)
    for live in (None, *masks(rng, 2000)):
        prepared = layout.prepare(database, live)
        for count, radius in [(0, 3), (1, 0), (5, 12), (300, 18), (3, 64)]:
            queries = np.concatenate([database, pack(rng, 300, 40)])[::-1][:count]
            hits = all_distances(queries, database) <= radius
            expected = (hits if live is None else hits & live).sum(axis=1)
            found = hamming.count_within(prepared, queries, radius)
            assert found.dtype == np.int32
            np.testing.assert_array_equal(found, expected)
    found = jax.jit(lambda queries: hamming.count_within(prepared, queries, 40))(queries)
    np.testing.assert_array_equal(found, [1, 1, 1])


@pytest.mark.slow
def test_memory_is_bounded_by_tiles():
    codes = jax.ShapeDtypeStruct((1_000_000, 2), np.uint32)
    queries = jax.ShapeDtypeStruct((10_000, 2), np.uint32)
    prepared = jax.eval_shape(layout.prepare, codes)
    compiled = jax.jit(hamming.search, static_argnums=2).lower(prepared, queries, 100).compile()
    # A byte for each distance would be 128 MB a tile, and 10 GB in all; the results are 8 MB.
    assert compiled.memory_analysis().temp_size_in_bytes < 64e6


def test_bad_input():
    one, two = np.zeros((4, 1), np.uint32), np.zeros((4, 2), np.uint32)
    prepared = layout.prepare(one)
    for k in (5, 0, -1, 2.0):
        with pytest.raises(InputError, match=f"k: {k} given; allowed: 1 to 4, the size of"):
            retrieval.hamming_topk(one, one, k)
    for k in (0, len(prepared.rows) + 1):
        with pytest.raises(InputError, match=f"k: {k} given; allowed: 1 to {len(prepared.rows)}"):
            hamming.search(prepared, one, k)
    for radius in (-1, 33):
        with pytest.raises(InputError, match=f"radius: {radius} given; allowed: 0 to 32, the bits"):
            hamming.count_within(prepared, one, radius)
    with pytest.raises(InputError, match=r"k: 1 given; allowed: 1 to 0"):
        retrieval.hamming_topk(one, one[:0], 1)
    with pytest.raises(InputError, match=r"queries: 1 words .*: 2, as many as in database"):
        retrieval.hamming_distances(one, two)
    for function in (hamming.search, hamming.count_within):
        with pytest.raises(InputError, match=r"queries: 2 words .*: 1, as many as in prepared"):
            function(prepared, two, 1)
    with pytest.raises(InputError, match=r"database: float32\[4, 1\] given; allowed: packed codes"):
        retrieval.hamming_topk(one, one.astype(np.float32), 1)
    with pytest.raises(InputError, match="queries: 17 words per code given; allowed: 1 to 16"):
        retrieval.hamming_distances(np.zeros((4, 17), np.uint32), one)
