import numpy as np
import pytest

from jhash.retrieval.search import host, results
from tests.support.packed import all_distances, random_codes


@pytest.fixture
def scans(monkeypatch):
    """Sets whether scans are compiled, which then see blocks of few rows."""

    def set_compiled(compiled):
        monkeypatch.setattr(host, "_PATIENCE", 0 if compiled else np.inf)
        assert host.is_compiled() == compiled
        if compiled:
            blocks = host._fast().compiled
            monkeypatch.setattr(blocks, "_BLOCK", 128)
            monkeypatch.setattr(blocks, "_CHUNK", 1024)

    return set_compiled


def check(queries, codes, k, radius, visible):
    distances = all_distances(queries, codes)
    found = host.find(queries, codes, k, radius, visible)
    assert found.distances.dtype == np.int32
    for row, (near, positions) in enumerate(results.split(found)):
        order = np.argsort(distances[row], kind="stable")
        order = order[distances[row, order] <= radius]
        if visible is not None:
            order = order[visible[order]]
        np.testing.assert_array_equal(positions, order[:k])
        np.testing.assert_array_equal(near, distances[row, order[:k]])
    assert row == len(queries) - 1


# Without Numba: words in pairs and alone, and distances of one byte and of two. With Numba, which
# compiles for each length: codes that are compared many at a time, and one by one.
CASES = [(bits, False) for bits in (1, 32, 64, 96, 224, 225, 256, 512)]


@pytest.mark.parametrize(
    ("bits", "compiled"),
    [*CASES, *(pytest.param(b, True, marks=pytest.mark.slow) for b in (64, 160))],
)
def test_nearest_and_within_are_brute_force(scans, bits, compiled):
    if compiled:
        pytest.importorskip("numba")
    scans(compiled)
    rng = np.random.default_rng(bits)
    for codes in (random_codes(3000, bits), random_codes(40, bits)[rng.integers(0, 40, 3000)]):
        queries = np.concatenate([codes[:2], random_codes(2, bits, 5)])
        for visible in (None, rng.random(3000) < 0.4, np.arange(3000) == 1500):
            for k, radius in [
                *((k, bits) for k in (1, 10, 90, 1300, 3000)),
                *((k, bits // 3) for k in (5, None)),
                *((None, radius) for radius in (0, 1, bits)),
            ]:
                check(queries, codes, k, radius, visible)


def test_blocks_of_rows(scans, monkeypatch):
    monkeypatch.setattr(host, "_BLOCK", 100)
    scans(False)
    for n in (1, 99, 100, 101, 350):
        check(random_codes(2, 128, 7), random_codes(n, 128), 3, 128, None)


@pytest.mark.slow
def test_threads_share_the_queries(scans, monkeypatch):
    fast = pytest.importorskip("jhash.retrieval.search.fast")
    monkeypatch.setattr(fast, "_THREADED", 0)
    monkeypatch.setattr(host, "cpus", lambda: 3)
    monkeypatch.setattr(fast, "_TOGETHER", 2)
    scans(True)
    codes = random_codes(5000, 64)
    for count in (1, 2, 3, 7):
        check(random_codes(count, 64, 3), codes, 20, 64, None)
        check(random_codes(count, 64, 3), codes, None, 20, np.arange(5000) % 3 > 0)


@pytest.mark.slow
def test_no_more_candidates_are_taken_than_there_is_room_for():
    compiled = pytest.importorskip("jhash.retrieval.search.compiled")
    counts = np.zeros(66, np.int64)
    keys = np.zeros(256, np.int64)

    def take(near, rows, start, candidates, limit):
        distances = np.full(64, 255, np.uint8)
        distances[:rows] = near
        return compiled._take_block(distances, 64, start, 3, keys, counts, candidates, limit)

    assert take(7, 64, 0, 0, 65) == (3, 7)
    assert take(7, 64, 64, 3, 7) == (3, 7)
    assert take(5, 2, 128, 3, 7) == (5, 7)
    # Two are at this distance already, so one of four is taken.
    assert take(5, 4, 192, 5, 7) == (6, 5)


def test_scans_are_compiled_once_there_were_many(monkeypatch):
    monkeypatch.setattr(host, "_PATIENCE", 1000)
    monkeypatch.setattr(host, "_scanned", 0)
    asked = []
    monkeypatch.setattr(host, "_fast", lambda: asked.append(1))
    codes = random_codes(100, 64)
    for expected in (0, 0, 0, 0, 0, 1, 2):
        check(codes[:1], codes, 5, 64, None)
        assert len(asked) == expected


def test_scans_are_compiled_where_nothing_can_be_kept(monkeypatch):
    """Such as in a container, as a user without a home."""
    numba = pytest.importorskip("numba")
    from jhash.retrieval.search import compiled

    usual, caches = numba.njit, []

    def njit(cache=False, **options):
        def compile_it(function):
            caches.append(cache)
            if cache:
                raise RuntimeError("cannot cache function: no locator available")
            return usual(**options)(function)

        return compile_it

    monkeypatch.setattr(numba, "njit", njit)
    assert compiled._compiled(lambda x: x + 1)(2) == 3
    assert caches == [True, False]
