"""Codes from files, and an index of those that a run has left."""

import numpy as np
import pytest

from jhash.errors import InputError
from jhash.runs import code_files

CODES = np.random.default_rng(0).integers(0, 2**32, (6, 2), dtype=np.uint32)
CODES_40 = np.random.default_rng(1).integers(0, 2**8, (9, 2), dtype=np.uint32)


def test_what_a_file_has_is_read(tmp_path):
    path = tmp_path / "codes.npz"
    np.savez(path, codes=CODES, bits=64)
    content = code_files.read(path)
    np.testing.assert_array_equal(content.codes, CODES)
    assert content[1:] == (64, None, {}, None)
    np.savez(path, codes=CODES, bits=64, ids=list("abcdef"), run="r", network="n", labels=[1] * 6)
    content = code_files.read(path)
    assert (content.ids.tolist(), content.metadata) == (
        list("abcdef"),
        {"run": "r", "network": "n"},
    )
    assert content.labels.tolist() == [1] * 6


def test_the_database_of_a_run_says_where_it_is_from(tmp_path):
    (tmp_path / "codes").mkdir()
    path = tmp_path / "codes" / "database_learned.npz"
    np.savez(path, codes=CODES, bits=64, ids=range(6), network="n")
    metadata = code_files.load_index(str(tmp_path), "learned").metadata
    assert metadata == {"run": str(tmp_path), "database": "learned", "network": "n"}
    np.savez(path, codes=CODES, bits=64)
    with pytest.raises(
        InputError, match=f"given; its codes cannot be read: {path}: the file has no ids"
    ):
        code_files.load_index(str(tmp_path), "learned")


def test_an_index_of_a_run_s_database(tmp_path):
    codes, learned = CODES_40, CODES_40[::-1]
    (tmp_path / "codes").mkdir()
    arrays = {"labels": np.zeros(9), "ids": np.arange(9) * 5, "bits": 40}
    np.savez(tmp_path / "codes" / "database.npz", codes=codes, **arrays)
    built = code_files.load_index(str(tmp_path))
    assert (built.bits, built.ids.tolist()) == (40, list(range(0, 45, 5)))
    assert built.metadata == {"run": str(tmp_path), "database": "encoded"}
    np.testing.assert_array_equal(built.export(), codes.view(np.uint8)[:, :5])
    with pytest.raises(InputError, match=r"database_learned\.npz: there is no such file"):
        code_files.load_index(str(tmp_path), "learned")
    np.savez(tmp_path / "codes" / "database_learned.npz", codes=learned, **arrays)
    built = code_files.load_index(str(tmp_path), "learned")
    assert built.metadata["database"] == "learned"
    np.testing.assert_array_equal(built.export(), learned.view(np.uint8)[:, :5])
    with pytest.raises(InputError, match="database: 'both' given; allowed: learned, encoded"):
        code_files.load_index(str(tmp_path), "both")
    path = tmp_path / "codes" / "database.npz"
    for content in (b"", b"no archive", path.read_bytes()[:200]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"workdir: .* given; its codes cannot be read"):
            code_files.load_index(str(tmp_path))
    np.savez(path, codes=codes)
    with pytest.raises(InputError, match=r"workdir: .* given; its codes cannot be read"):
        code_files.load_index(str(tmp_path))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"bits": 8.5}, r"bits: 8\.5 given; allowed: an integer, 1 to 512"),
        ({"bits": 64.0}, r"bits: 64\.0 given"),
        ({"bits": True}, "bits: True given"),
        ({"bits": "64"}, r"bits: <U2\[\] given"),
        ({"bits": [64]}, r"bits: int64\[1\] given"),
        ({"bits": 0}, "bits: 0 given"),
        ({"bits": 513}, "bits: 513 given"),
        ({"bits": 48}, "codes: row 0, with bits set beyond the 48"),
        ({"bits": 32}, "codes: 2 words per code given; allowed: 1"),
        ({"codes": CODES.astype(int)}, r"codes: int64\[6, 2\] given"),
        ({"codes": np.uint32(5)}, r"codes: uint32\[\] given"),
        ({"codes": np.array([None])}, r"codes: Python objects \(pickle\) given; .* integers"),
        (
            {"ids": np.array([1, "a"] * 3, object)},
            r"ids: Python objects \(pickle\) given; .* strings",
        ),
        ({"ids": np.arange(6.0)}, "ids: float given; allowed: integers only, or strings only"),
        ({"ids": np.arange(5)}, r"ids: shape \[5\] given; allowed: one id per code, \[6\]"),
        ({"ids": np.zeros(6, int)}, "ids: 0 given more than once"),
        ({"ids": np.array([b"a"] * 6)}, r"ids: '\|S1' given"),
        ({"run": 5}, r"run: int64\[\] given; allowed: one text"),
        ({"network": ["a", "b"]}, r"network: <U1\[2\] given"),
    ],
)
def test_arrays_of_another_kind_are_named(tmp_path, arrays, message):
    path = tmp_path / "codes.npz"
    np.savez(path, **{"codes": CODES, "bits": 64} | arrays)
    with pytest.raises(InputError, match=f"^{path}: {message}"):
        code_files.read(str(path))


def test_a_file_of_no_codes_is_an_empty_index(tmp_path):
    path = tmp_path / "codes.npz"
    np.savez(path, codes=CODES[:0], bits=64, ids=np.arange(0))
    content = code_files.read(str(path))
    assert (len(content.codes), content.bits) == (0, 64)
    with pytest.raises(InputError, match="labels"):
        code_files.read_labeled(str(path), 64)
