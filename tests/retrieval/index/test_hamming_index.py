"""The index against a list of (id, code) that is searched by brute force.

Compiling a search takes seconds, so that most tests search for 16 codes of one or two words.
"""

import sys
import threading

import numpy as np
import pytest

from jhash.errors import InputError
from jhash.retrieval.index import device
from jhash.retrieval.index.hamming_index import HammingIndex
from jhash.retrieval.search import hamming, layout
from tests.support.packed import all_distances, random_codes
from tests.support.searching import go

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(autouse=True)
def small_buffers(monkeypatch):
    monkeypatch.setattr("jhash.retrieval.index.rows._MIN_ROOM", 32)


def brute_force(queries, codes, ids, k):
    distances = all_distances(queries, codes)
    order = np.argsort(distances.astype(np.uint16), axis=1, kind="stable")[:, :k]  # Radix sort.
    return np.take_along_axis(distances, order, axis=1), np.asarray(ids)[order]


def check_search(found, queries, codes, ids, k):
    distances, expected = brute_force(queries, codes, ids, k)
    np.testing.assert_array_equal(found[0], distances)
    np.testing.assert_array_equal(found[1], expected)
    assert found[0].dtype == np.int32
    assert found[1].dtype.kind == ("U" if isinstance(ids[0], str) else "i")


def check_radius(found, queries, codes, ids, radius):
    limits, distances, found_ids = found
    every, every_id = brute_force(queries, codes, ids, len(codes))
    inside = every <= radius
    np.testing.assert_array_equal(limits, [0, *np.cumsum(inside.sum(axis=1))])
    np.testing.assert_array_equal(distances, every[inside])
    np.testing.assert_array_equal(found_ids, every_id[inside])
    assert (limits.dtype, distances.dtype) == (np.int64, np.int32)


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "ks", "radii"), [(12, [16], [2]), (48, [16, 64], [0, 16, 17])])
def test_search_and_radius_are_brute_force(bits, ks, radii):
    codes, queries = random_codes(150, bits), random_codes(5, bits, 1)
    ids = np.random.default_rng(2).permutation(150) * 10**16 - 5
    built = HammingIndex.build(codes, bits, ids)
    assert (built.bits, len(built)) == (bits, 150)
    np.testing.assert_array_equal(built.ids, ids)
    for k in ks:
        check_search(built.search(queries, k), queries, codes, ids, k)
    for radius in radii:
        check_radius(built.search_radius(queries, radius), queries, codes, ids, radius)


def test_the_index_does_not_see_what_becomes_of_its_arguments():
    codes, ids, metadata = random_codes(50, 64), np.arange(50), {"a": 1}
    built = HammingIndex.build(codes, 64, ids, metadata)
    before = codes.copy()
    codes[:], ids[:], metadata["a"] = 0, 7, 2
    np.testing.assert_array_equal(built.export(), before.view(np.uint8))
    np.testing.assert_array_equal(built.ids, np.arange(50))
    assert built.metadata == {"a": 1}
    built.ids[:] = 0
    built.export()[:] = 0
    np.testing.assert_array_equal(built.export(), before.view(np.uint8))
    np.testing.assert_array_equal(built.ids, np.arange(50))


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [lambda i: 3 * i - 50, lambda i: i * 7919 % 10007 - 5000, lambda i: f"größe/{i}.jpg"],
    ids=["ascending", "integers", "strings"],
)
def test_adding_and_removing(make):
    """A hundred random changes, through growth and compaction, also to nothing and back."""
    rng = np.random.default_rng(5)
    pool, queries = random_codes(700, 48), random_codes(3, 48, 9)
    rows = list(range(60))
    built = HammingIndex.build(pool[rows], 48, [make(row) for row in rows])
    fresh, growths, compactions = 60, 0, 0
    for step in range(100):
        capacity = len(built._rows.codes)
        # The middle third removes more than is added.
        gone = rng.permutation(rows)[: rng.integers(0, 12 if 33 < step < 66 else 5)].tolist()
        if step == 50:
            gone = list(rows)
        built.remove([make(row) for row in gone])
        rows = [row for row in rows if row not in gone]
        compactions += len(built._rows.codes) < capacity
        capacity = len(built._rows.codes)
        new = list(range(fresh, fresh + rng.integers(0, 8)))
        if gone and step % 3 == 0 and step > 20:
            new.append(gone[0])  # A removed id comes back, behind the others.
        built.add(pool[new], [make(row) for row in new])
        fresh += len(new)
        rows += new
        growths += len(built._rows.codes) > capacity
        assert len(built) == len(rows)
        if step % 3 == 0 and len(rows) >= 16:
            ids = [make(row) for row in rows]
            assert built.ids.tolist() == ids
            check_search(built.search(queries, 16), queries, pool[rows], ids, 16)
            with pytest.raises(InputError, match=f"allowed: 1 to {len(rows)}, the"):
                built.search(queries, len(rows) + 1)
    assert growths >= 3
    assert compactions >= 2
    check_radius(built.search_radius(queries, 14), queries, pool[rows], [make(r) for r in rows], 14)


@pytest.mark.slow
def test_single_and_many_queries_of_a_large_index(monkeypatch):
    """Two paths of the kernel, over whole blocks without a living row, laid out and replaced."""
    go(monkeypatch, "device")
    pool, n = random_codes(50_000, 48), 45_000
    built = HammingIndex.build(pool[:n], 48)
    living = np.arange(n)
    # The nearest are codes that are removed or added later, and those that padding repeats.
    targets = [0, 17, 70, 1030, 3333, 20_480, 20_500, 30_000, n - 65, n - 1, n, n + 300]
    queries = np.concatenate([pool[targets], random_codes(28, 48, 3)])

    def check():
        near, ids = brute_force(queries, pool[living], living, 150)
        # More results are found among smaller groups of rows.
        for k, rows in [(16, 0), (16, 2), (150, 3), (150, 9), (16, slice(40))]:
            distances, found = built.search(queries[rows].reshape(-1, 2), k)
            np.testing.assert_array_equal(distances, near[rows, :k].reshape(-1, k))
            np.testing.assert_array_equal(found, ids[rows, :k].reshape(-1, k))

    def change(removed, added):
        nonlocal living
        built.remove(removed)
        built.add(pool[added], added)
        living = np.append(living[~np.isin(living, removed)], added)

    check()
    # Few rows: blocks of 16 and of 64, also the first and those at the end.
    blocks = [(0, 16), (64, 128), (1024, 1040), (20_480, 20_544), (n - 80, n)]
    change(np.concatenate([np.arange(*block) for block in blocks]), np.arange(0))
    check()
    # The buffer grows: what is laid out has dead rows.
    change(np.arange(0), np.arange(n, n + 600))
    check()
    # So many rows that all are laid out again.
    stretch = np.arange(30_000, 38_000)
    change(np.append(stretch[stretch % 1024 != 7], np.arange(2_048, 3_600)), np.arange(0))
    check()
    change(np.arange(n + 290, n + 310), np.array([3, 70, *range(n + 600, n + 640)]))
    check()


@pytest.mark.slow
def test_small_changes_cost_one_update(monkeypatch):
    go(monkeypatch, "device")
    calls = []

    def prepare(*arguments, function=layout.prepare):
        calls.append("prepare")
        return function(*arguments)

    def replace(*arguments, function=layout.replace):
        calls.append(("replace", len(arguments[1])))
        return function(*arguments)

    monkeypatch.setattr(layout, "prepare", prepare)
    monkeypatch.setattr(layout, "replace", replace)
    codes = random_codes(300, 64)
    built = HammingIndex.build(codes[:200], 64)
    assert calls == []
    built.search(codes[:2], 16)
    built.add(codes[200:201])
    built.search(codes[:2], 16)
    # Made once: there is room behind.
    assert calls == ["prepare", ("replace", 1)]
    calls.clear()
    for row in range(201, 230):
        built.add(codes[row : row + 1])
    built.remove([3, 5, 7])
    built.remove([229])
    assert calls == []
    for _ in range(3):
        ids = np.delete(np.arange(229), [3, 5, 7])
        check_search(built.search(codes[:2], 16), codes[:2], codes[ids], ids, 16)
    assert calls == [("replace", 32)]  # 29 added, of which one is removed again, and 3 others.


@pytest.mark.parametrize("name", ["prepare", "replace"])
def test_a_change_that_did_not_reach_the_device_is_not_forgotten(monkeypatch, name):
    go(monkeypatch, "device")
    codes = random_codes(150, 48)
    built = HammingIndex.build(codes, 48)
    built.search(codes[:5], 16)
    few = 0 if name == "prepare" else 10
    monkeypatch.setattr("jhash.retrieval.index.rows._FEW_CHANGES", few)

    def fail(*arguments):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(layout, name, fail)
        built.remove([0, 1, 2])
        for _ in range(2):
            with pytest.raises(MemoryError):
                built.search(codes[:5], 16)
    check_search(built.search(codes[:5], 16), codes[:5], codes[3:], np.arange(3, 150), 16)


def test_many_queries_are_searched_in_batches(monkeypatch):
    go(monkeypatch, "device")
    monkeypatch.setattr(device, "_BATCH_QUERIES", 16)
    codes, queries = random_codes(90, 48), random_codes(41, 48, 1)
    built = HammingIndex.build(codes, 48)
    for n in (0, 16, 17, 41):
        check_search(built.search(queries[:n], 16), queries[:n], codes, range(90), 16)
        check_radius(built.search_radius(queries[:n], 12), queries[:n], codes, range(90), 12)


@pytest.mark.slow
def test_radius_search_is_bounded_in_memory(monkeypatch):
    sizes = []

    def counted(prepared, queries, k, function=hamming.search):
        sizes.append(len(queries) * k)
        return function(prepared, queries, k)

    monkeypatch.setattr(hamming, "search", counted)
    monkeypatch.setattr(device, "_BATCH_RESULTS", 128)
    go(monkeypatch, "device")
    # One query with 60 hits, one with none, many with a few.
    codes = np.concatenate([np.zeros((60, 2), np.uint32), random_codes(90, 64)])
    queries = np.concatenate([codes[70:110], codes[:1], ~codes[:1], codes[90:140]])
    found = HammingIndex.build(codes, 64).search_radius(queries, 6)
    check_radius(found, queries, codes, range(150), 6)
    assert max(sizes) <= 128
    assert sum(sizes) < 2000  # With k = 64 for all it would be 92 * 64.


@pytest.mark.slow
def test_the_greatest_radius_finds_all_the_living():
    codes = random_codes(30, 48)
    built = HammingIndex.build(codes, 48)
    built.remove(range(5))
    found = built.search_radius(codes[:3], 48)
    check_radius(found, codes[:3], codes[5:], np.arange(5, 30), 48)


def test_no_hits_and_no_queries():
    codes = np.zeros((20, 1), np.uint32)
    built = HammingIndex.build(codes, 32, [f"{i}" for i in range(20)])
    limits, distances, ids = built.search_radius(np.full((3, 1), 2**32 - 1, np.uint32), 31)
    assert limits.tolist() == [0, 0, 0, 0]
    assert distances.shape == ids.shape == (0,)
    assert ids.dtype.kind == "U"
    none = np.zeros((0, 1), np.uint32)
    distances, ids = built.search(none, 4)
    assert distances.shape == ids.shape == (0, 4)
    assert built.search_radius(none, 4)[0].tolist() == [0]


def test_an_empty_index():
    empty = HammingIndex.build(np.zeros((0, 2), np.uint32), 64)
    queries = random_codes(16, 64)
    with pytest.raises(InputError, match=r"k: 1 given; .* the index is empty"):
        empty.search(queries, 1)
    assert empty.search_radius(queries, 64)[0].tolist() == [0] * 17
    assert empty.export().shape == (0, 8)
    empty.add(queries, list("abcdefghijklmnop"))
    check_search(empty.search(queries, 16), queries, queries, list("abcdefghijklmnop"), 16)
    empty.remove(list("ponmlkjihgfedcba"))
    with pytest.raises(InputError, match=r"k: 1 given; .* the index is empty"):
        empty.search(queries, 1)
    empty.add(queries[:2], [4, 2])
    assert empty.ids.tolist() == [4, 2]


def test_default_ids_go_on_after_the_greatest():
    codes = random_codes(3, 64)
    built = HammingIndex.build(codes, 64, [7, -3, 5])
    built.add(codes)
    built.remove([10])
    built.add(codes[:1])  # 10 is not given to another code.
    assert built.ids.tolist() == [7, -3, 5, 8, 9, 11]
    built.add(codes[:1], [2**63 - 2])
    built.add(codes[:1])
    with pytest.raises(InputError, match=f"fewer than 1 integers are left after {2**63 - 1}"):
        built.add(codes[:1])
    named = HammingIndex.build(codes, 64, ["a", "b", "c"])
    with pytest.raises(InputError, match="ids: none given; allowed: a string per code"):
        named.add(codes)


def test_ids_are_found_whatever_their_order():
    codes = random_codes(3, 8)
    built = HammingIndex.build(codes, 8, [10, 20, 30])
    built.add(codes[:2], [5, 40])
    for known in (5, 10, 30, 40):
        with pytest.raises(InputError, match=f"ids: {known} given; .* not in the index yet"):
            built.add(codes[:1], [known])
    built.remove([5, 30])
    assert built.ids.tolist() == [10, 20, 40]


@pytest.mark.parametrize(
    "ids",
    [
        [4, 5, 6],
        (np.int32(4), 5, 6),
        range(4, 7),
        np.array([4, 5, 6], np.uint8),
        np.array([4, 5, 6], np.uint64),
        np.array([4, 5, 6], object),
        ["x", "yy", ""],
        np.array(["x", "yy", ""]),
        np.array(["x", "yy", ""], np.dtypes.StringDType()),
    ],
)
def test_ids_in_any_of_the_usual_forms(ids):
    codes = random_codes(3, 8)
    built = HammingIndex.build(codes, 8, ids)
    assert built.ids.tolist() == list(ids)
    assert built.ids.dtype.kind == ("U" if isinstance(ids[0], str) else "i")
    built.remove(ids[1:])
    assert built.ids.tolist() == [ids[0]]


BAD_IDS = [
    ([1, 2, 1, 2, 3], "1, 2 given more than once"),
    (["b", "a", "c", "a", "d"], "'a' given more than once"),
    ([1, "a", 2, 3, 4], "int and str given; allowed: integers only, or strings only"),
    ([1.5, 2, 3, 4, 5], "float and int given"),
    (np.arange(5.0), "float given; allowed"),
    ([True, False, 1, 2, 3], "bool and int given"),
    ([None] * 5, "NoneType given"),
    ([1, 2], r"shape \[2\] given; allowed: one id per code, \[5\]"),
    ("abcde", r"shape \[\] given"),
    ([[1], [2], [3], [4], [5]], r"shape \[5, 1\] given"),
    ([2**63, 1, 2, 3, 4], "beyond 64 bits"),
    (np.array([2**63, 1, 2, 3, 4], np.uint64), "beyond 64 bits"),
    (["a\0", "b", "c", "d", "e"], "given; allowed: text without a NUL"),
    (["\ud800", "b", "c", "d", "e"], "given; allowed: Unicode text"),
]


@pytest.mark.parametrize(("ids", "message"), BAD_IDS)
def test_bad_ids_name_what_is_wrong_and_change_nothing(ids, message):
    codes = random_codes(5, 8)
    with pytest.raises(InputError, match=f"ids: .*{message}"):
        HammingIndex.build(codes, 8, ids)
    built = HammingIndex.build(codes, 8)
    with pytest.raises(InputError, match=f"ids: .*{message}"):
        built.add(codes, ids)
    assert built.ids.tolist() == [0, 1, 2, 3, 4]


def test_changes_are_made_whole_or_not_at_all():
    codes = random_codes(6, 40)
    built = HammingIndex.build(codes, 40, [5, 3, 9, 8, 1, 0])
    for change, message in [
        (
            lambda: built.add(codes, [100, 9, 101, 0, 102, 103]),
            "ids: 9, 0 given; .* not in the index yet",
        ),
        (lambda: built.add(codes, list("abcdef")), "ids: strings given; allowed: integers"),
        (lambda: built.remove([5, 77, 3, 78]), "ids: 77, 78 given; allowed: ids that are in the"),
        (lambda: built.remove(["5"]), "ids: '5' given; allowed: ids that are in the index"),
        (lambda: built.remove([5, 5]), "ids: 5 given more than once"),
        (lambda: built.remove(range(50, 60)), "ids: 50, 51, 52 and 7 more given; allowed"),
        (lambda: built.remove(5), r"ids: shape \[\] given; allowed: a list"),
        (lambda: built.add(codes | np.uint32(2**31), range(10, 16)), "codes: row 0, with bits set"),
        (lambda: built.add(codes[:, :1]), "codes: 1 words per code given; allowed: 2"),
    ]:
        with pytest.raises(InputError, match=message):
            change()
        assert built.ids.tolist() == [5, 3, 9, 8, 1, 0]
        np.testing.assert_array_equal(built.export(), codes.view(np.uint8)[:, :5])
    built.add(codes[:0])
    built.remove([])
    assert len(built) == 6


def test_bad_codes_and_arguments():
    codes = random_codes(4, 40)
    built = HammingIndex.build(codes, 40)
    beyond = codes.copy()
    beyond[2, 1] |= 256
    for call, message in [
        (lambda: HammingIndex.build(codes, 64 + 1), "codes: 2 words per code given; allowed: 3"),
        (lambda: HammingIndex.build(codes, 0), "bits: 0 given; allowed: 1 to 512"),
        (lambda: HammingIndex.build(codes, 40.0), "bits: 40.0 given"),
        (lambda: HammingIndex.build(codes.astype(int), 40), r"codes: int64\[4, 2\] given"),
        (lambda: HammingIndex.build(beyond, 40), "codes: row 2, with bits set beyond the 40"),
        (lambda: built.search(beyond, 1), "queries: row 2, with bits set beyond the 40"),
        (lambda: built.search(codes[:, :1], 1), "queries: 1 words per code given"),
        (lambda: built.search(codes[0], 1), r"queries: uint32\[2\] given"),
        (lambda: built.search(codes, 5), "k: 5 given; allowed: 1 to 4, the index's length"),
        (lambda: built.search(codes, 0), "k: 0 given"),
        (lambda: built.search(codes, 1.5), "k: 1.5 given"),
        (lambda: built.search_radius(codes, 41), "radius: 41 given; allowed: 0 to 40"),
        (lambda: built.search_radius(codes, -1), "radius: -1 given"),
        (lambda: next(built.batches(0)), "size: 0 given; allowed: an integer of at least 1"),
        (lambda: next(built.batches(2.0)), "size: 2.0 given"),
    ]:
        with pytest.raises(InputError, match=message):
            call()


def test_concurrent_searches_see_whole_states():
    rng = np.random.default_rng(3)
    pool, queries = random_codes(400, 48), random_codes(4, 48, 8)
    rows, changes = list(range(50)), []
    expected = []  # By the number of changes made.

    def describe():
        near = brute_force(queries, pool[rows], rows, 16)
        every = brute_force(queries, pool[rows], rows, len(rows))
        inside = every[0] <= 16
        return (*near, every[0][inside], every[1][inside])

    expected.append(describe())
    for step in range(40):
        if step % 2:
            gone = rng.permutation(rows)[:6].tolist()
            changes.append(("remove", gone))
            rows = [row for row in rows if row not in gone]
        else:
            new = list(range(50 + 4 * step, 54 + 4 * step + step % 4))
            changes.append(("add", new))
            rows = rows + new
        expected.append(describe())
    built = HammingIndex.build(pool[:50], 48)
    built.search(queries, 16)
    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    done, searches, failures = [0], [0, 0, 0], []

    def search(thread):
        while done[0] < len(changes) and not failures:
            first = done[0]
            if searches[thread] % 2:
                found = built.search(queries, 16)
                legal = [state[:2] for state in expected[first : done[0] + 2]]
            else:
                found = built.search_radius(queries, 16)[1:]
                legal = [state[2:] for state in expected[first : done[0] + 2]]
            searches[thread] += 1
            if not any(all(map(np.array_equal, found, state)) for state in legal):
                failures.append((thread, first, done[0]))

    threads = [threading.Thread(target=search, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for kind, changed in changes:
        seen = sum(searches)
        if kind == "add":
            built.add(pool[changed], changed)
        else:
            built.remove(changed)
        done[0] += 1
        # Lets a search or two begin and end between changes, whatever the machine's speed.
        while sum(searches) < seen + 2 and not failures and any(t.is_alive() for t in threads):
            threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    sys.setswitchinterval(switch_interval)
    assert failures == []
    assert sum(searches) >= 80
    assert built.ids.tolist() == rows


@pytest.mark.parametrize("bits", [1, 12, 40, 64, 512])
def test_export_is_little_endian_bits(bits):
    on = np.random.default_rng(bits).integers(0, 2, (30, bits), np.uint8)
    words = np.zeros((30, -(-bits // 32)), np.uint32)
    for j in range(bits):
        words[:, j // 32] |= on[:, j].astype(np.uint32) << (j % 32)
    data = HammingIndex.build(words, bits).export()
    assert (data.shape, data.dtype) == ((30, -(-bits // 8)), np.uint8)
    for j in range(8 * data.shape[1]):
        expected = on[:, j] if j < bits else 0
        np.testing.assert_array_equal((data[:, j // 8] & (1 << (j % 8))) != 0, expected)


CODES = np.random.default_rng(0).integers(0, 2**32, (6, 2), dtype=np.uint32)


@pytest.mark.parametrize("ids", [list("fabdec"), [5, 3, 8, -2, 9, 0], range(6)])
def test_codes_by_id(ids):
    ids = np.array(ids)
    index = HammingIndex.build(CODES, 64, ids)
    index.remove(ids[[1]])
    index.add(~CODES[:1], ids[[1]])
    np.testing.assert_array_equal(index.codes(ids[[4, 1, 0]]), [CODES[4], ~CODES[0], CODES[0]])
    codes = index.codes(ids[[5]])
    codes[:] = 0
    np.testing.assert_array_equal(index.codes(ids[[5]]), CODES[[5]])
    index.remove(ids[[2]])
    for wrong, message in (
        ([2, 3], "that are in the index"),
        ([0, 0], "more than once"),
    ):
        with pytest.raises(InputError, match=message):
            index.codes(ids[wrong])
    assert index.codes(ids[:0]).shape == (0, 2)
    other = "string" if ids.dtype.kind == "i" else 7
    with pytest.raises(InputError, match="given; allowed: ids that are in the index"):
        index.codes([other])


@pytest.mark.parametrize("text", ["1_0", " 1", "1.0", "", "x", "99999999999999999999"])
def test_texts_that_are_no_integers_are_no_ids(text):
    index = HammingIndex.build(np.zeros((11, 1), np.uint32), bits=8)
    assert index.parse_ids(["10", "+3", "-1"]).tolist() == [10, 3, -1]
    with pytest.raises(InputError, match=r"^texts: .* given; allowed: integers"):
        index.parse_ids([text])


@pytest.mark.parametrize("make", [lambda i: 7 * i % 101, lambda i: f"{i}.png"])
def test_searches_for_some_of_the_codes(make):
    codes, queries = random_codes(101, 48), random_codes(4, 48, 3)
    ids = np.array([make(i) for i in range(101)])
    built = HammingIndex.build(codes, 48, ids)
    built.remove(ids[::4])
    living = np.setdiff1d(np.arange(101), np.arange(0, 101, 4))
    labels = living % 3
    for kept in (labels == 1, labels < 3, living == 9):
        rows = living[kept]
        for only in (kept, ids[rows], ids[rows][::-1].tolist()):
            found = built.search(queries, min(10, len(rows)), only)
            check_search(found, queries, codes[rows], ids[rows].tolist(), min(10, len(rows)))
            check_radius(
                built.search_radius(queries, 20, only), queries, codes[rows], ids[rows], 20
            )
    # No more results than there are codes to find.
    rows = living[labels == 1]
    check_search(built.search(queries, 60, ids[rows]), queries, codes[rows], ids[rows].tolist(), 60)
    for only in ([], np.zeros(len(living), bool)):
        near, found = built.search(queries, 5, only)
        assert near.shape == found.shape == (4, 0)
        assert built.search_radius(queries, 48, only)[0].tolist() == [0] * 5


def test_ranges_of_distance():
    codes, queries = random_codes(200, 32), random_codes(3, 32, 3)
    built = HammingIndex.build(codes, 32)
    limits, near, ids = built.search_radius(queries, 15)
    for low in (0, 1, 12, 15):
        kept = near >= low
        found = built.search_radius(queries, 15, min_distance=low)
        np.testing.assert_array_equal(found[1], near[kept])
        np.testing.assert_array_equal(found[2], ids[kept])
        starts = [kept[:limit].sum() for limit in limits]
        assert found[0].tolist() == starts


def test_wrong_filters():
    built = HammingIndex.build(random_codes(6, 40), 40)
    built.remove([2])
    queries = random_codes(1, 40)
    for only, message in [
        ([0, 2], "only: 2 given; allowed: ids that are in the index"),
        ([0, 0], "only: 0 given more than once"),
        (["a"], "only: 'a' given; allowed: ids that are in"),
        (np.ones(6, bool), r"only: bool\[6\] given; allowed: bool \[5\], one per code"),
        (np.ones((5, 1), bool), r"only: bool\[5, 1\] given"),
    ]:
        for search in (built.search, built.search_radius):
            with pytest.raises(InputError, match=message):
                search(queries, 1, only)
    with pytest.raises(InputError, match="k: 6 given; allowed: 1 to 5, the index's length"):
        built.search(queries, 6, [0, 1])
    for low in (-1, 4):
        with pytest.raises(InputError, match=f"min_distance: {low} given; allowed: 0 to 3, the"):
            built.search_radius(queries, 3, min_distance=low)
