"""Arrays of a file that are mapped, and their memory."""

import os

import numpy as np
import pytest

from jhash.system import mapped


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "bytes"
    made.write_bytes(np.arange(1 << 22, dtype=np.uint8).tobytes())
    return made


def opened(path, offset=100, size=None):
    with open(path, "rb") as file:
        return mapped.open_array(file, offset, size or path.stat().st_size - offset)


def resident(path):
    """The bytes of a file that this process has in memory."""
    with open("/proc/self/smaps") as file:
        blocks = file.read().split(f"{path}\n")[1:]
    return sum(int(block.split("Rss:")[1].split()[0]) * 1024 for block in blocks)


def test_the_bytes_are_those_of_the_file_and_stay_when_pages_are_dropped(path):
    array = opened(path)
    expected = np.fromfile(path, np.uint8)[100:]
    np.testing.assert_array_equal(array, expected)
    assert resident(path) >= array.nbytes
    mapped.drop(array)
    assert resident(path) == 0
    mapped.want(array)
    np.testing.assert_array_equal(array, expected)


def test_a_part_and_views_of_it(path):
    array = opened(path, 0).view("<u4").reshape(-1, 4)
    array.max()
    mapped.drop(array[: len(array) // 2])
    assert resident(path) <= array.nbytes // 2
    mapped.drop(array[len(array) // 2 :])
    assert resident(path) == 0


def test_other_arrays_are_left_alone():
    array = np.arange(1 << 20)
    mapped.drop(array)
    mapped.want(array)
    np.testing.assert_array_equal(array, np.arange(1 << 20))
    np.testing.assert_array_equal(mapped.take(array, np.array([5, 3])), [5, 3])


def test_taken_elements(path, monkeypatch):
    monkeypatch.setattr(mapped, "_TAKEN", 1000)
    array = opened(path, 0).view("<u4")
    positions = np.random.default_rng(0).integers(0, len(array), 500)
    np.testing.assert_array_equal(mapped.take(array, positions), array[positions])
    assert mapped.take(array, positions[:0]).shape == (0,)


def test_a_change_does_not_reach_the_file(path):
    before = path.read_bytes()
    opened(path)[:] = 0
    assert path.read_bytes() == before


def test_a_file_may_be_larger_than_memory(tmp_path):
    size = 2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with open(tmp_path / "large", "wb+") as file:
        file.truncate(size)  # It takes no space on the disk.
        assert mapped.open_array(file, 64, size - 64)[-1] == 0
