import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding

from jhash import retrieval
from jhash.errors import InputError
from jhash.retrieval.search import layout, sharded, tiles
from tests.support.packed import assert_nearest

pytestmark = pytest.mark.usefixtures("quick_compilation")


def random_codes(rng, n, values=2**32, words=1):
    return rng.integers(0, values, (n, words), np.uint32)


@pytest.fixture
def traces(monkeypatch):
    """An entry for every search that is compiled."""
    found, search = [], sharded._search

    def search_anew(*args, **kwargs):
        found.append(kwargs)
        return search(*args, **kwargs)

    monkeypatch.setattr(sharded, "_search", search_anew)
    return found


@pytest.mark.slow
def test_search_of_ragged_and_of_few_codes_is_compiled_once(traces):
    rng = np.random.default_rng(0)
    for n in (3, 7, 8, 9, 1001):
        # Few values: ties lie on both sides of every border.
        for values in (1, 4, 2**32):
            database = random_codes(rng, n, values)
            split = sharded.prepare(database)
            assert split.parts.rows.sharding.device_set == set(jax.devices())
            for count in (0, 1, 2, 3, 16):
                queries = random_codes(rng, count, values)
                assert_nearest(sharded.search(split, queries, 3), queries, database, 3)
    assert len(traces) == 1  # For a tile of 16.


@pytest.mark.slow
def test_k_beyond_a_part_and_many_queries():
    rng = np.random.default_rng(1)
    database, queries = random_codes(rng, 301, 64), random_codes(rng, 140, 64)
    found = sharded.search(sharded.prepare(jax.numpy.asarray(database)), queries, 301)
    assert_nearest(found, queries, database, 301)
    for part, expected in zip(found, retrieval.hamming_topk(queries, database, 301), strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "k"), [(1, 10), (5, 10)])
def test_large_parts(count, k):
    rng = np.random.default_rng(2)
    database, queries = random_codes(rng, 136_000, 2**16, 2), random_codes(rng, count, 2**16, 2)
    split = sharded.prepare(database)
    assert split.parts.lanes.size
    assert_nearest(sharded.search(split, queries, k), queries, database, k)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 3])
def test_some_devices(devices):
    rng = np.random.default_rng(3)
    database, queries = random_codes(rng, 1000, 256), random_codes(rng, 4, 256)
    split = sharded.prepare(database, jax.devices()[-devices:])
    assert split.parts.rows.sharding.device_set == set(jax.devices()[-devices:])
    assert_nearest(sharded.search(split, queries, 20), queries, database, 20)


def test_a_device_holds_its_part_alone():
    database = random_codes(np.random.default_rng(4), 8 * 2048)
    split = sharded.prepare(database)
    for number, device in enumerate(jax.devices()):
        (rows,) = (s.data for s in split.parts.rows.addressable_shards if s.device == device)
        np.testing.assert_array_equal(rows, database[2048 * number : 2048 * (number + 1)])


@pytest.mark.slow
def test_memory_of_a_device_is_bounded_by_tiles():
    split = sharded.prepare(np.zeros((8, 2), np.uint32))
    part = jax.eval_shape(layout.prepare, jax.ShapeDtypeStruct((1_000_000, 2), np.uint32))
    part = part._replace(count=jax.ShapeDtypeStruct((1,), np.int32))
    mesh, spec = split.parts.rows.sharding.mesh, split.parts.rows.sharding.spec
    parts = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(
            (8 * x.shape[0], *x.shape[1:]), x.dtype, sharding=NamedSharding(mesh, spec)
        ),
        part,
    )
    queries = jax.ShapeDtypeStruct((128, 2), np.uint32)
    search = tiles._compiled(sharded._search, ("mesh", "k"), "cpu")
    compiled = search.lower(parts, queries, np.int32(1_000_000), mesh=mesh, k=100).compile()
    # A byte for each distance of a part would be 128 MB.
    assert compiled.memory_analysis().temp_size_in_bytes < 32e6


def test_bad_input():
    one, two = np.zeros((9, 1), np.uint32), np.zeros((4, 2), np.uint32)
    split = sharded.prepare(one)
    for k in (0, 10):
        with pytest.raises(InputError, match=f"k: {k} given; allowed: 1 to 9, the size of"):
            sharded.search(split, one, k)
    with pytest.raises(InputError, match=r"queries: 2 words .*: 1, as many as in sharded"):
        sharded.search(split, two, 1)
    with pytest.raises(InputError, match=r"queries: float32\[9, 1\] given; allowed: packed codes"):
        sharded.search(split, one.astype(np.float32), 1)
    with pytest.raises(InputError, match=r"codes: float32\[9, 1\] given; allowed: packed codes"):
        sharded.prepare(one.astype(np.float32))
    with pytest.raises(InputError, match="codes: none given; allowed: at least one"):
        sharded.prepare(one[:0])
    with pytest.raises(InputError, match="devices: none given; allowed: at least one"):
        sharded.prepare(one, [])
