"""Groups of near codes against a graph of all pairs."""

import numpy as np
import pytest

from jhash.errors import InputError
from jhash.retrieval import duplicates


def slow_groups(codes, radius):
    """Spreads from code to code, over all pairs."""
    near = np.bitwise_count(codes[:, None] ^ codes).sum(axis=2) <= radius
    left = set(range(len(codes)))
    found = []
    while left:
        group, new = set(), {min(left)}
        while new:
            group |= new
            new = {int(other) for one in new for other in np.flatnonzero(near[one])} - group
        left -= group
        if len(group) > 1:
            found.append(sorted(group))
    return found


def some_codes(bits=40):
    """Chains of codes a few bits apart, equal codes, and codes far from all others."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, (30, bits), np.uint8)
    rows = [values]
    for step in range(3):
        values = values[:-6].copy()
        values[:, 2 * step] ^= 1
        values[::2, 2 * step + 1] ^= 1
        rows.append(values)
    bits_NxL = np.concatenate(rows)[rng.permutation(sum(map(len, rows)))]
    padded = np.pad(bits_NxL, ((0, 0), (0, -bits % 32)))
    return np.packbits(padded, axis=1, bitorder="little").view("<u4").astype(np.uint32)


@pytest.mark.parametrize("radius", [0, 1, 2, 12])
def test_groups_are_those_of_all_pairs(radius, monkeypatch):
    monkeypatch.setattr(duplicates, "_BATCH", 32)
    codes = some_codes()
    found = duplicates.groups(codes, 40, radius)
    assert [group.tolist() for group in found] == slow_groups(codes, radius)
    assert radius == 0 or len(found) < len(codes)


def test_ends_of_a_group_may_be_far_apart():
    codes = np.array([[0b000], [0b011], [0b1111], [0b110011 << 8]], np.uint32)
    (group,) = duplicates.groups(codes, 32, 2)
    assert group.tolist() == [0, 1, 2]
    assert duplicates.distances(codes, group) == [0, 2, 4]


def test_no_codes_and_no_such_radius():
    assert duplicates.groups(np.empty((0, 1), np.uint32), 32, 2) == []
    assert duplicates.groups(np.zeros((1, 1), np.uint32), 32, 2) == []
    assert duplicates.groups(np.zeros((2, 1), np.uint32), 32, 2)[0].tolist() == [0, 1]
    with pytest.raises(InputError, match=r"^radius: 33 given; allowed: 0 to 32"):
        duplicates.groups(np.zeros((2, 1), np.uint32), 32, 33)
