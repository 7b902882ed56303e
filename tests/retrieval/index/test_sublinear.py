"""Distinct codes, and the searches that see few of them, against brute force."""

import itertools

import numpy as np
import pytest

from jhash.retrieval.index import ball, batches, distinct, multi_index, sublinear
from tests.support.packed import all_distances, random_codes

# One piece of a code and many, pieces of unequal sizes, and pieces across words.
BITS = (5, 16, 17, 33, 40, 64, 80, 128, 500)


def near_codes(n, bits, seed=0):
    """Codes that repeat, around a few that are far from each other."""
    rng = np.random.default_rng(seed)
    flips = random_codes(n, bits, seed) & random_codes(n, bits, seed + 1)
    flips &= random_codes(n, bits, seed + 2) & random_codes(n, bits, seed + 3)
    codes = random_codes(9, bits, 77)[rng.integers(0, 9, n)] ^ flips
    return codes[rng.integers(0, n // 2, n)]


@pytest.mark.parametrize("bits", BITS)
def test_groups_have_the_positions_of_each_code(bits):
    codes = near_codes(400, bits)
    live = np.random.default_rng(1).random(400) < 0.7
    for mask in (None, live):
        groups = distinct.group(codes, bits, mask)
        every = np.arange(400) if mask is None else np.flatnonzero(mask)
        assert len(groups.codes) == len(np.unique(codes[every], axis=0))
        assert sorted(groups.positions.tolist()) == every.tolist()
        for number, (start, end) in enumerate(itertools.pairwise(groups.starts)):
            positions = groups.positions[start:end]
            same = (codes[every] == groups.codes[number]).all(axis=1)
            assert positions.tolist() == every[same].tolist()
    # Ascending as integers, for bisection.
    keys = [sum(int(word) << 32 * i for i, word in enumerate(code)) for code in groups.codes]
    assert keys == sorted(keys)


def test_positions_of_codes_and_groups_with_some_left_out():
    codes = np.array([[7], [3], [7], [7], [1]], np.uint32)
    groups = distinct.group(codes, 3, None)
    places, positions = distinct.positions_of(groups, np.array([2, 0]), 2)
    assert (places.tolist(), positions.tolist()) == ([0, 0, 1], [0, 2, 4])
    fewer = distinct.narrow(groups, np.array([True, False, False, True, True]))
    assert fewer.starts.tolist() == [0, 1, 1, 3]
    assert fewer.positions.tolist() == [4, 0, 3]


@pytest.mark.parametrize("bits", BITS)
def test_rings_are_all_codes_at_each_distance(bits):
    groups = distinct.group(near_codes(300, bits), bits, None)
    tables = multi_index.build(groups, bits)
    for query in np.concatenate([groups.codes[:2], random_codes(2, bits, 5)]):
        distances = all_distances(query[None], groups.codes)[0]
        # Deep levels of wide pieces look up too many values for a test.
        rings = list(multi_index.rings(tables, groups, query, 1e6))
        assert len(rings) >= min(bits, 2 * len(tables.starts))
        for distance, ring in enumerate(rings):
            np.testing.assert_array_equal(ring, np.flatnonzero(distances == distance))
        for distance in range(ball.MAX_RADIUS + 1 if bits <= ball.MAX_BITS else 0):
            ring = np.sort(ball.ring(groups, query, bits, distance))
            np.testing.assert_array_equal(ring, np.flatnonzero(distances == distance))


def test_rings_end_when_they_would_cost_too_much():
    groups = distinct.group(near_codes(300, 64), 64, None)
    tables = multi_index.build(groups, 64)
    lengths = [len(list(multi_index.rings(tables, groups, groups.codes[0], ns))) for ns in (0, 1e5)]
    assert lengths[0] == 0
    assert 0 < lengths[1] < 64


@pytest.mark.parametrize("bits", [12, 64, 128])
@pytest.mark.parametrize("few", [0, 1000], ids=["tables", "scan"])
def test_find(monkeypatch, bits, few):
    monkeypatch.setattr(sublinear, "_FEW", few)
    codes = near_codes(600, bits)
    structure = sublinear.build(distinct.group(codes, bits, None), bits, 1e6)
    visible = np.random.default_rng(1).random(600) < 0.5
    answered = 0
    for query in np.concatenate([codes[:3], random_codes(2, bits, 5)]):
        distances = all_distances(query[None], codes)[0]
        order = np.argsort(distances, kind="stable")
        for mask, (k, radius) in itertools.product(
            (None, visible),
            [(1, bits), (10, bits), (500, bits), (None, 0), (None, 3), (None, bits)],
        ):
            found = sublinear.find(structure, query, k, radius, mask)
            if found is None:
                assert few == 0
                continue
            expected = order if mask is None else order[mask[order]]
            expected = expected[distances[expected] <= radius][:k]
            assert found[1].tolist() == expected.tolist()
            assert found[0].tolist() == distances[expected].tolist()
            answered += 1
    assert answered >= 30


def test_a_structure_knows_how_far_it_comes(monkeypatch):
    monkeypatch.setattr(sublinear, "_FEW", 0)
    # Pairs of equal codes, far from all others.
    codes = np.repeat(random_codes(400, 64)[:250], 2, axis=0)
    structure = sublinear.build(distinct.group(codes, 64, None), 64, 1e4)
    assert sublinear.serves(structure, 1, 64)
    assert not sublinear.serves(structure, 2, 64)
    assert sublinear.serves(structure, None, 2)
    assert not sublinear.serves(structure, None, 20)
    assert sublinear.find(structure, codes[0], None, 20) is None


@pytest.mark.parametrize(
    ("k", "radius"), [(1, 48), (7, 48), (300, 48), (500, 48), (None, 0), (None, 17)]
)
def test_batches(monkeypatch, k, radius):
    monkeypatch.setattr(batches, "FIRST", 3)
    monkeypatch.setattr(batches, "_FACTOR", 2)
    codes = near_codes(500, 48)
    groups = distinct.group(codes, 48, None)
    queries = np.concatenate([codes[:4], random_codes(3, 48, 8)])
    wanted = []

    def search(queries, count):
        wanted.append(count)
        distances = all_distances(queries, groups.codes)
        order = np.argsort(distances, axis=1, kind="stable")[:, :count]
        return np.take_along_axis(distances, order, 1), order

    found = batches.find(groups, queries, k, radius, search, len(groups.codes))
    distances = all_distances(queries, codes)
    for row, (start, end) in enumerate(itertools.pairwise(found.limits)):
        order = np.argsort(distances[row], kind="stable")
        order = order[distances[row, order] <= radius][:k]
        assert found.positions[start:end].tolist() == order.tolist()
        assert found.distances[start:end].tolist() == distances[row, order].tolist()
    # One group is enough for one result, where it is alone at its distance.
    assert wanted[0] == 3
    assert (wanted[-1] == len(groups.codes)) == (k == 500)
