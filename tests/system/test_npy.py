"""Arrays of others: what numpy.save wrote is read, and no header is believed."""

import os
import resource

import numpy as np
import pytest

from jhash.errors import InputError
from jhash.system import files, npy
from tests.support import memory

ROWS = np.array([5, 0, 5, 3])


@pytest.mark.parametrize("dtype", ["f4", "f2", ">f8", "i8", ">u2", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_those_that_were_saved(tmp_path, dtype, order):
    path = tmp_path / "a.npy"
    array = np.asarray(np.random.default_rng(0).integers(0, 2, (7, 3, 2)), dtype, order=order)
    np.save(path, array)
    assert npy.shape(path) == (7, 3, 2)
    for rows, expected in ((None, array), (ROWS, array[ROWS]), (ROWS[:0], array[:0])):
        found = npy.read(path, rows)
        assert found.dtype == array.dtype.newbyteorder("=")
        assert found.dtype.isnative
        np.testing.assert_array_equal(found, expected)


def with_header(text):
    text = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + bytes(48)


def described(descr, shape):
    return with_header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (described("'<f4'", "(4, 4)"), r"it has 48 bytes of the 64 that float32 \[4, 4\] takes"),
        (described("'<f4'", f"({2**40}, {2**40})"), "it has 48 bytes of the 48357"),
        (described("'<f4'", "(-1, 4)"), "it does not begin like one"),
        (described("'<f4'", f"(0, {2**62}, 9)"), "but "),
        (described("'<f4'", "(1,) * 9"), "it does not begin like one"),
        (described("'<f4'", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), "it does not begin like one"),
        (described("'|O'", "(4, 4)"), r"its elements are Python objects \(pickle\)"),
        (described("'<U3'", "(4,)"), "its elements are <U3"),
        (described("[('a', '<f4'), ('b', '<f4')]", "(4,)"), r"its elements are \[\('a'"),
        (with_header("(" * 100), "it does not begin like one"),
        (with_header("__import__('os').system('true')"), "it does not begin like one"),
        (b"\x93NUMPY\2\0\xff\xff\xff\xff" + bytes(99), "it does not begin like one"),
        (b"PK\3\4" + bytes(99), "it does not begin like one"),
        (b"", "it does not begin like one"),
    ],
)
def test_hostile_files_end_in_one_line(tmp_path, content, message):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    expected = rf"^path: {path} given; allowed: .*{message}"
    with memory.at_most(1 << 20), pytest.raises(InputError, match=expected) as caught:
        npy.read(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/zero", tmp_path / "none"):
        with pytest.raises(InputError, match=f"^path: {path} given; allowed: .npy files of"):
            npy.read(path)


def test_a_file_that_becomes_shorter_is_an_error(tmp_path, monkeypatch):
    """A file that is mapped into memory would end the process."""
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((1000, 99)))
    header = npy._header

    def cut(file, path):
        found = header(file, path)
        os.truncate(path, 1000)
        return found

    monkeypatch.setattr(npy, "_header", cut)
    for rows in (None, np.array([999])):
        np.save(path, np.zeros((1000, 99)))
        with pytest.raises(InputError, match="it became shorter while it was read"):
            npy.read(path, rows)


@pytest.mark.parametrize("room", [0, 60, 239])
def test_what_does_not_fit_is_an_error(tmp_path, room):
    """Also if it is the end of the file that does not fit, which C would write when it closes."""
    path, array = tmp_path / "a.npy", np.arange(200, dtype=np.uint8)
    with open(path, "wb") as file:
        npy.write(file, array)
    np.testing.assert_array_equal(np.load(path), array)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            replace(path, array[::-1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    np.testing.assert_array_equal(np.load(path), array)


def replace(path, array):
    with files.replacing(path, "wb") as file:
        npy.write(file, array)
