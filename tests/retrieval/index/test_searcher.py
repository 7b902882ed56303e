"""The choice among ways to search, and when the rows are grouped by their codes."""

import numpy as np
import pytest

from jhash.errors import InputError
from jhash.retrieval.index import costs, searcher, sublinear, ways
from jhash.retrieval.index.hamming_index import HammingIndex
from jhash.retrieval.index.searcher import Searcher
from jhash.retrieval.search import host
from tests.support.packed import all_distances, random_codes
from tests.support.searching import go

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def gone(monkeypatch):
    """The ways that searches went."""
    names = []

    def choose(self, found, usual=Searcher._choose):
        way = usual(self, found)
        names.append(way.name)
        return way

    monkeypatch.setattr(Searcher, "_choose", choose)
    monkeypatch.setattr(host, "_PATIENCE", np.inf)
    return names


@pytest.fixture
def groupings(monkeypatch):
    """Numbers of rows of which distinct codes were found."""
    sizes = []

    def group(state, bits, usual=searcher._group):
        sizes.append(state.used)
        return usual(state, bits)

    monkeypatch.setattr(searcher, "_group", group)
    return sizes


def check(index, queries, k, codes, ids):
    distances = all_distances(queries, codes)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    near, found = index.search(queries, k)
    np.testing.assert_array_equal(found, np.asarray(ids)[order])
    np.testing.assert_array_equal(near, np.take_along_axis(distances, order, 1))


def repeated(n, distinct, bits=64):
    return random_codes(distinct, bits)[np.random.default_rng(1).integers(0, distinct, n)]


def test_rows_are_grouped_once_scans_have_taken_as_long(monkeypatch, gone, groupings):
    monkeypatch.setattr(costs, "LOOK_UP", 0)
    codes = repeated(5000, 30)
    index = HammingIndex.build(codes, 64)
    searches = 0
    while not groupings:
        check(index, codes[:1], 5, codes, range(5000))
        searches += 1
    per_search = costs.host_scan(1, 5000, 2, 5)
    assert searches == np.ceil(searcher._PATIENCE * costs.grouping(5000, 2) / per_search)
    assert gone == ["scan"] * (searches - 1) + ["look-up"]
    for _ in range(100):
        check(index, codes[:1], 5, codes, range(5000))
    assert set(gone[searches:]) == {"look-up"}
    # Added rows are scanned and removed ones are left out, until that has taken as long.
    index.add(codes[:2000])
    index.remove(range(0, 5000, 10))
    rows = np.r_[np.setdiff1d(np.arange(5000), np.arange(0, 5000, 10)), np.arange(5000, 7000)]
    every = np.concatenate([codes, codes[:2000]])
    for _ in range(4 * searches):
        check(index, codes[:1], 5, every[rows], rows)
    assert groupings == [5000, 7000]
    # So many are removed that the others move up.
    index.remove(rows[1000:])
    check(index, codes[:1], 5, every[rows[:1000]], rows[:1000])
    assert gone[-1] == "scan"


def test_grouping_in_vain_is_not_repeated_before_there_are_more_rows(monkeypatch, gone, groupings):
    monkeypatch.setattr(costs, "LOOK_UP", 0)
    codes = random_codes(90_000, 64)[:60_000]
    index = HammingIndex.build(codes, 64)
    for _ in range(3):
        index.search(codes[:40], 10)
        index.search(codes[:40], 10)
    assert groupings == [60_000]
    # A search within a radius can use it.
    index.optimize()
    assert groupings == [60_000, 60_000]
    limits, _, ids = index.search_radius(codes[7:8], 1)
    assert (gone[-1], limits.tolist(), ids[0]) == ("look-up", [0, 1], 7)
    index.add(random_codes(20_000, 64, 4))
    for _ in range(9):
        index.search(codes[:40], 10)
    assert groupings == [60_000, 60_000, 80_000]


@pytest.mark.parametrize("part", [4096, 64])
def test_a_large_batch_is_grouped_first(monkeypatch, gone, groupings, part):
    monkeypatch.setattr(ways, "_PART", part)
    codes = repeated(20_000, 50)
    index = HammingIndex.build(codes, 64)
    check(index, random_codes(300, 64, 3)[:200], 9, codes, range(20_000))
    assert groupings == [20_000]
    assert gone == ["groups"]


def test_equal_queries_are_searched_once(monkeypatch):
    seen = []

    def find(queries, *arguments, usual=host.find):
        seen.append(len(queries))
        return usual(queries, *arguments)

    monkeypatch.setattr(host, "find", find)
    codes = random_codes(300, 40)
    index = HammingIndex.build(codes, 40)
    for queries in (codes[:15], codes[[1, 5, 1, 1, 7] * 8], codes[:20], codes[[3] * 15]):
        check(index, queries, 4, codes, range(300))
    assert seen == [15, 3, 20, 15]


def test_a_search_is_compiled_once_that_would_have_paid(monkeypatch, gone):
    monkeypatch.setattr(costs, "device_scan", lambda *sizes: 0.0)
    codes = random_codes(3000, 64)
    index = HammingIndex.build(codes, 64)
    monkeypatch.setattr(costs, "COMPILATION", 2.5 * costs.host_scan(3, 3000, 2, 5))
    for _ in range(5):
        check(index, codes[:3], 5, codes, range(3000))
    assert gone == ["scan", "scan", "device", "device", "device"]


@pytest.mark.parametrize("k", [1, 400])
def test_searches_that_give_up_are_scans(monkeypatch, k):
    monkeypatch.setattr(sublinear, "_FEW", 0)
    monkeypatch.setattr(searcher, "_GIVE_UP", 0)
    monkeypatch.setattr(sublinear, "serves", lambda *arguments: True)
    go(monkeypatch, "look-up")
    codes = random_codes(5000, 128)
    index = HammingIndex.build(codes, 128)
    index.optimize()
    index.add(codes[:50])
    every = np.concatenate([codes, codes[:50]])
    check(index, random_codes(4, 128, 9), k, every, range(5050))
    check(index, codes[:4], k, every, range(5050))


def test_searches_that_gave_up_too_often_are_no_longer_tried_first(monkeypatch, gone):
    monkeypatch.setattr(costs, "LOOK_UP", 0)
    codes = repeated(5000, 30)
    index = HammingIndex.build(codes, 64)
    index.optimize(5)
    usual = sublinear.find
    monkeypatch.setattr(sublinear, "find", lambda *_: None)
    for _ in range(300):
        check(index, codes[:1], 5, codes, range(5000))
    tried = [way == "look-up" for way in gone]
    assert all(tried[:5])
    # Giving up costs a quarter of a scan at most: all of them together, less than a tenth.
    assert 0 < searcher._GIVE_UP * sum(tried) < 0.1 * len(tried)
    # It is found out when they do not give up any more.
    monkeypatch.setattr(sublinear, "find", usual)
    gone.clear()
    for _ in range(60):
        check(index, codes[:1], 5, codes, range(5000))
    assert gone[-20:] == ["look-up"] * 20
    # Another kind of search is judged by itself, as are rows that were grouped again.
    assert index._searcher._given_up[False] == 0
    index._searcher._given_up[True] = 1.0
    index.optimize(5)
    assert index._searcher._given_up[True] == 1
    index.add(codes[:1])
    index.optimize(5)
    assert index._searcher._given_up[True] == 0


def test_memory_that_runs_out_leaves_a_scan(monkeypatch, gone):
    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(searcher, "_group", fail)
    codes = repeated(5000, 30)
    index = HammingIndex.build(codes, 64)
    index.optimize()
    check(index, codes[:1], 5, codes, range(5000))
    assert gone == ["scan"]


def test_arguments_of_optimize():
    index = HammingIndex.build(random_codes(30, 40), 40)
    for arguments, message in [
        ({"k": 0}, "k: 0 given; allowed: 1 to"),
        ({"radius": 41}, "radius: 41 given; allowed: 0 to 40, the code length"),
    ]:
        with pytest.raises(InputError, match=message):
            index.optimize(**arguments)
    HammingIndex.build(random_codes(30, 40)[:0], 40).optimize()
