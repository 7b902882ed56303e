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
