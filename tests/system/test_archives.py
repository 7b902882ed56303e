"""NumPy archives: read as numpy.load does, but no bomb and no pickle."""

import io
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from jhash.errors import InputError
from jhash.system import archives

MIB = 1 << 20
ARRAYS = {
    "whole": np.arange(12, dtype=np.int64).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big": np.arange(5).astype(">u4"),
    "text": np.array(["a", "größer", "日本"]),
    "one": np.array("text"),
    "scalar": np.array(40),
    "flags": np.array([[True, False]]),
    "half": np.ones((2, 0, 3), np.float16),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_those_of_numpy(tmp_path, save):
    path = tmp_path / "arrays.npz"
    save(path, **ARRAYS)
    found = archives.read(path, [*ARRAYS, "missing"])
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[name], array)
    assert list(archives.read(path, ["text"])) == ["text"]


class _Bad:
    def __reduce__(self):
        return print, ("this was run",)


def test_objects_are_refused_by_name_and_not_loaded(tmp_path, capsys):
    path = tmp_path / "objects.npz"
    np.savez(path, ids=np.array([_Bad()], object), codes=np.arange(3))
    with pytest.raises(InputError, match=rf"^{path}: ids: Python objects \(pickle\) given; .*str"):
        archives.read(path, ["ids"])
    path.write_bytes(pickle.dumps(_Bad()))
    with pytest.raises(InputError, match=r"no NumPy archive \(\.npz\), or it is damaged"):
        archives.read(path, ["ids"])
    assert not capsys.readouterr().out
    np.savez(path, ids=np.zeros(3, [("a", int)]), when=np.zeros(2, "M8[s]"))
    for name in ("ids", "when"):
        with pytest.raises(InputError, match=f"{name}: .* given; allowed: an array of integers"):
            archives.read(path, [name])


def zip_of(path, header, content, compression=zipfile.ZIP_STORED, names=("codes.npy",)):
    """An archive whose arrays have any header."""
    head = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode()
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name in names:
            archive.writestr(name, head + content)


def fields(shape, descr="'<u4'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    ("header", "content"),
    [
        (fields("(1099511627776, 2)"), bytes(8)),
        (fields("(0, 99999999999999999999999)"), b""),
        (fields("(-1, 2)"), bytes(8)),
        (fields("(2,)"), bytes(9)),
        (fields("(3,)"), bytes(8)),
        (fields(f"({'1, ' * 9})"), bytes(4)),
        (fields("(2,)", "'<U99999999999'"), bytes(8)),
        (fields("(1,)", "'<U1'"), b"\xff" * 4),
        (fields("(1,)", "'<U1'"), struct.pack("<I", 0xD800)),
        (fields("(1,)", "'|b1'"), b"\2"),
        (fields("(1,)", "__import__('os')"), b""),
        ("(" * 9000, b""),
        ("{}", b""),
    ],
)
def test_hostile_headers(tmp_path, header, content):
    path = tmp_path / "hostile.npz"
    zip_of(path, header, content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=f"^{path}: ") as error:
            archives.read(path, ["codes"])
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    assert str(error.value).isprintable()


def test_a_bomb_is_refused_before_it_inflates(tmp_path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, codes=np.zeros((100 * MIB // 8, 2), np.uint32), bits=64)
    for claimed in (None, 1000, MIB):  # It may lie about its size.
        if claimed:
            data = path.read_bytes()
            data = data.replace(struct.pack("<I", 100 * MIB + 128), struct.pack("<I", claimed))
            path.write_bytes(data)
        tracemalloc.start()
        try:
            with pytest.raises(InputError, match=r"bytes given; allowed: 70,|or it is damaged"):
                archives.read(path, ["codes", "bits"])
            assert tracemalloc.get_traced_memory()[1] < 8 * MIB
        finally:
            tracemalloc.stop()
    assert archives.read(path, ["bits"])["bits"] == 64  # The bomb is not looked at.


def test_other_archives_are_refused(tmp_path):
    path = tmp_path / "other.npz"
    for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        zip_of(path, fields("(2,)"), bytes(8), compression)
        with pytest.raises(InputError, match="codes: an unusual compression given"):
            archives.read(path, ["codes"])
    with pytest.warns(UserWarning, match="Duplicate name"):
        zip_of(path, fields("(2,)"), bytes(8), names=("codes.npy", "codes.npy"))
    with pytest.raises(InputError, match="two arrays codes"):
        archives.read(path, ["codes"])
    zip_of(path, fields("(2,)"), bytes(8))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="codes: encrypted"):
        archives.read(path, ["codes"])
    file = io.BytesIO()
    np.save(file, np.zeros((2**20, 2), np.uint32))
    assert len(file.getvalue()) > MIB
    zip_of(path, fields("(2,)"), bytes(8))
    for content in (b"", b"PK", file.getvalue(), b"before" + path.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(InputError, match="no NumPy archive"):
            archives.read(path, ["codes"])
    with pytest.raises(OSError, match="No such file"):
        archives.read(tmp_path / "missing.npz", ["codes"])
