"""MATLAB files: what SciPy wrote is read, and hostile ones end in one line and little memory."""

import os
import struct
import zlib

import numpy as np
import pytest
import scipy.io

from jhash.errors import InputError
from jhash.pretrained import mat_file
from tests.support import memory


def cell(*values):
    array = np.empty((1, len(values)), object)
    array[0, :] = values
    return array


CONTENT = {
    "doubles": np.arange(6.0).reshape(2, 3),
    "floats": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "bytes": np.arange(5, dtype=np.uint8)[None],
    "longs": np.array([[-(2**40)]]),
    "flags": np.array([[True, False]]),
    "empty": np.zeros((0, 3)),
    "text": "Bär 猫",
    "cell": cell(np.array([[1.0]]), "two", cell("three")),
    "struct": {"a": np.array([[1.0]]), "b": {"c": "x"}},
    "complex": np.array([[1 + 2j]]),
}


@pytest.mark.parametrize("compressed", [True, False])
def test_values_are_those_that_scipy_wrote(tmp_path, compressed):
    path = tmp_path / "a.mat"
    two = np.zeros((1, 2), [("x", object), ("y", object)])
    two[0, 0], two[0, 1] = ("p", 1.0), ("q", 2.0)
    scipy.io.savemat(path, {**CONTENT, "two": two}, do_compression=compressed)
    found = mat_file.read(path)
    assert list(found) == [*CONTENT, "two"]
    for name in ("doubles", "floats", "bytes", "longs", "flags", "empty"):
        np.testing.assert_array_equal(found[name], CONTENT[name])
        if name != "flags":  # In a file, flags are bytes.
            assert found[name].dtype == CONTENT[name].dtype
    assert found["text"] == "Bär 猫"
    assert found["cell"] == [np.array([[1.0]]), "two", ["three"]]
    assert found["struct"] == {"a": np.array([[1.0]]), "b": {"c": "x"}}
    assert found["complex"] is None
    assert found["two"] == [{"x": "p", "y": np.array([[1.0]])}, {"x": "q", "y": np.array([[2.0]])}]


def element(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(kind, shape, *parts, flags=0, name=b""):
    """An array by the words of the format's description."""
    return element(
        14,
        element(6, struct.pack("<II", kind | flags, 0))
        + element(5, struct.pack(f"<{len(shape)}i", *shape))
        + element(1, name)
        + b"".join(parts),
    )


def fields(*names):
    return element(5, struct.pack("<i", 8)), element(1, b"".join(n.ljust(8, b"\0") for n in names))


def nested(levels):
    content = matrix(6, (1, 1), element(9, bytes(8)))
    for _ in range(levels):
        content = matrix(1, (1, 1), content)
    return content


def whole(*elements):
    return b"text".ljust(124) + b"\0\1IM" + b"".join(elements)


BOMB = zlib.compress(matrix(9, (1, 200 << 20), element(2, bytes(200 << 20))), 9)


def test_the_pieces_make_a_file(tmp_path):
    path = tmp_path / "a.mat"
    numbers = element(9, np.arange(6.0).tobytes())
    path.write_bytes(whole(matrix(6, (3, 2), numbers, name=b"a"), nested(10)))
    np.testing.assert_array_equal(mat_file.read(path)["a"], np.arange(6.0).reshape(2, 3).T)
    np.testing.assert_array_equal(mat_file.read(path)["a"], scipy.io.loadmat(path)["a"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (whole(nested(20)), "it has more than 16 cells or structs in each other"),
        # SciPy's reader ends the process here, by a stack that is too deep.
        (whole(element(15, zlib.compress(nested(20_000)))), "it has more than 16 cells"),
        (whole(element(15, BOMB)[: 8 + len(BOMB)]), "it inflates to more than 32 times its size"),
        (whole(matrix(1, (2**31 - 1, 1))), "it has more than 1,048,576 values"),
        (whole(matrix(1, (2**31 - 1, 2**31 - 1))), "it has more than 1,048,576 values"),
        (whole(matrix(2, (2**31 - 1, 1), *fields())), "it has more than 1,048,576 values"),
        (whole(matrix(2, (9, 1), *fields(b"a"))), "it is cut off or damaged"),
        (whole(matrix(1, (3, 1))), "it is cut off or damaged"),
        (whole(matrix(6, (2**31 - 1, 2**31 - 1), element(9, bytes(8)))), "cut off or damaged"),
        (whole(matrix(6, (-1, -1), element(9, bytes(8)))), "it is cut off or damaged"),
        (whole(matrix(6, (1,) * 99, element(9, bytes(8)))), "it is cut off or damaged"),
        (whole(matrix(6, (1, 1), element(77, bytes(8)))), "it is cut off or damaged"),
        (whole(matrix(4, (1, 1), element(16, b"\xff"))), "it is cut off or damaged"),
        (whole(struct.pack("<II", 14, 2**31)), "it is cut off or damaged"),
        (whole(element(15, b"no zlib!")), "it is cut off or damaged"),
        (whole(element(14, bytes(8))), "it is cut off or damaged"),
        (b"MATLAB 7.3".ljust(124) + b"\0\2IM", "it is of MATLAB 7.3"),
        (b"x" * 200, "it does not begin like one of versions 5 to 7"),
        (b"", "it does not begin like one of versions 5 to 7"),
    ],
)
def test_hostile_files(tmp_path, content, reason):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    limit = 64 * len(content) + (160 << 20)
    with memory.at_most(limit), pytest.raises(InputError) as caught:
        mat_file.read(path)
    assert reason in str(caught.value)


def test_functions_and_objects_are_none(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(whole(matrix(16, (1, 1)), matrix(3, (1, 1), name=b"o"), nested(0)))
    assert mat_file.read(path)["o"] is None


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/zero", tmp_path / "none"):
        with pytest.raises(InputError, match=r"^it is not readable \((Not a regular|No such) fil"):
            mat_file.read(path)
