"""Searches of an index that stays in its file, against those of one in memory."""

import json

import numpy as np
import pytest

from jhash import parallel
from jhash.commands import main, serve
from jhash.errors import InputError
from jhash.retrieval import HammingIndex
from jhash.retrieval.index import costs, searcher, streamed
from jhash.retrieval.index import ids as index_ids
from jhash.retrieval.search import host, hosts, results
from jhash.system import memory
from tests.support import searching
from tests.system.test_mapped import resident

SIZE = 100_003


def codes(bits, seed=0, size=SIZE):
    """Codes of which many are equal, so that there are ties on both sides of every border."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, 2**32, (size, -(-bits // 32)), np.uint32)
    drawn[:, -1] &= np.uint32(2 ** ((bits - 1) % 32 + 1) - 1)
    drawn[::3] = drawn[0]
    drawn[1::5] = drawn[1:500][rng.integers(0, 499, len(drawn[1::5]))]
    return drawn


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(streamed, "_PIECE", 8 * 3000)
    monkeypatch.setattr(index_ids, "_PIECE", 1000)


def saved(tmp_path, bits, ids=None, size=SIZE):
    """An index in memory, and its file."""
    built = HammingIndex.build(codes(bits, size=size), bits, ids)
    built.save(str(tmp_path / "an.index"))
    return built, str(tmp_path / "an.index")


def assert_equal(found, expected):
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("bits", [64, 70])
def test_results_are_those_of_an_index_in_memory(bits, tmp_path, monkeypatch):
    monkeypatch.setattr(host, "_PATIENCE", np.inf)
    rng = np.random.default_rng(1)
    built, path = saved(tmp_path, bits, rng.permutation(SIZE))
    opened = HammingIndex.load(path, stream=True)
    mask = rng.random(SIZE) < 0.01
    searching.go(monkeypatch, "stream", "scan")
    near = np.concatenate([codes(bits)[:3], codes(bits, 2)[:5]])
    for queries in (near[:1], near, near[:0]):
        for k in (1, 10, 4000):
            assert_equal(opened.search(queries, k), built.search(queries, k))
        assert_equal(opened.search(queries, 2000, mask), built.search(queries, 2000, mask))
        assert_equal(opened.search_radius(queries, 22), built.search_radius(queries, 22))
    gone = built.ids[rng.random(SIZE) < 0.3]
    wanted = built.ids[5:900:7][::-1]
    np.testing.assert_array_equal(opened.codes(wanted), built.codes(wanted))
    for index in (built, opened):
        index.remove(gone)
        index.add(near, np.arange(SIZE, SIZE + len(near)))
    assert_equal(opened.search(near, 500), built.search(near, 500))
    with pytest.raises(InputError, match=r"^ids: .* given; allowed: ids that are in the index\."):
        opened.codes([int(gone[0])])


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_on_devices_with_few_programs(tmp_path, monkeypatch):
    # These sizes are those of a test of `sharded`, so that nothing is compiled twice.
    monkeypatch.setattr(streamed, "_PIECE", 4 * 1008)
    built, path = saved(tmp_path, 32, size=6010)
    opened = HammingIndex.load(path, stream=True)
    queries = codes(32, 2)[:5]
    searching.go(monkeypatch, "stream on devices", "scan")
    monkeypatch.setattr(costs, "has_accelerator", lambda: True)
    assert_equal(opened.search(queries, 3), built.search(queries, 3))


@pytest.mark.usefixtures("small_pieces")
def test_nothing_is_grouped(tmp_path, monkeypatch):
    monkeypatch.setattr(searcher, "_PATIENCE", 0)
    monkeypatch.setattr(searcher, "_group", pytest.fail)
    _, path = saved(tmp_path, 64, size=9000)
    opened = HammingIndex.load(path, stream=True)
    for _ in range(3):
        opened.search(codes(64)[:1], 10)
    opened.optimize()


@pytest.mark.slow
def test_memory_is_that_of_few_pieces(tmp_path, monkeypatch):
    """The system may map 2 MB where one page is read."""
    monkeypatch.setattr(streamed, "_PIECE", 1 << 20)
    _, path = saved(tmp_path, 60, size=2_000_000)
    opened = HammingIndex.load(path, stream=True)
    peaks = [resident(path)]
    find = host.find

    def watched(*arguments):
        found = find(*arguments)
        peaks.append(resident(path))
        return found

    monkeypatch.setattr(host, "find", watched)
    searching.go(monkeypatch, "stream")
    opened.search(codes(60, 2)[:2], 1000)
    peaks.append(resident(path))
    assert len(peaks) == 2 + 16
    assert max(peaks) <= 6 << 20
    assert peaks[-1] <= 1 << 20


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("count", [1, 3])
def test_ranges_of_processes(count, tmp_path, monkeypatch):
    """The processes of one search, one after the other in this one; see tests/parallel, too."""
    built, path = saved(tmp_path, 64, size=10_001)
    opened = HammingIndex.load(path, together=True)
    monkeypatch.setattr(parallel, "process_count", lambda: count)
    monkeypatch.setattr(parallel, "check_equal", lambda name, content: None)
    queries = np.concatenate([codes(64)[:2], codes(64, 2)[:3]])
    kept = []

    class Kept(Exception):  # noqa: N818 - no error
        pass

    def keep(own):
        kept.append(own)
        raise Kept

    for search in (
        lambda index: index.search(queries, 3),
        lambda index: index.search(queries, 9000),
        lambda index: index.search_radius(queries, 24),
    ):
        for number in range(count):
            monkeypatch.setattr(parallel, "process_index", lambda number=number: number)
            first, end = hosts.span(10_001)
            assert end - first in (10_001 // count, 10_001 // count + 1)
            monkeypatch.setattr(parallel, "bytes_from_all", keep)
            with pytest.raises(Kept):
                search(opened)
        monkeypatch.setattr(parallel, "bytes_from_all", lambda own, all=tuple(kept): list(all))
        assert_equal(search(opened), search(built))
        kept.clear()


def test_results_travel_as_bytes():
    found = results.join([(np.array([1, 2]), np.array([5, 2**40])), (np.empty(0), np.empty(0))])
    assert_equal(hosts._decoded(hosts._encoded(found)), found)


def test_the_page_says_if_memory_may_not_do(monkeypatch, capsys):
    index = HammingIndex.build(codes(64, size=1000), 64)
    serve._warn_of_memory(index)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(memory, "available", lambda: 40_000)
    serve._warn_of_memory(index)
    assert "jhash: searches may need 0.0 GB more, and 0.0 GB are free. With " in (
        capsys.readouterr().err
    )


def test_the_command(tmp_path, capsys):
    _, path = saved(tmp_path, 64, size=500)

    def printed(*words):
        assert main.main([*words]) == 0
        return capsys.readouterr().out

    search = ("search", "--index", path, "--id", "4", "7", "-k", "3", "--json")
    assert json.loads(printed(*search).splitlines()[0])["query"] == "4"
    assert printed(*search, "--stream") == printed(*search)
    info = ("index", "info", "--index", path)
    assert printed(*info, "--stream") == printed(*info)
    with pytest.raises(SystemExit):
        main.main([*search, "--processes", "2"])
    assert "--process need --distributed" in capsys.readouterr().err
