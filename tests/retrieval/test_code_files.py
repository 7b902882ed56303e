"""Codes from files, and from an index by their ids."""

import numpy as np
import pytest

from jhash.errors import InputError
from jhash.retrieval import code_files
from jhash.retrieval.index import HammingIndex

CODES = np.random.default_rng(0).integers(0, 2**32, (6, 2), dtype=np.uint32)


def test_what_a_file_has_is_read(tmp_path):
    path = tmp_path / "codes.npz"
    np.savez(path, codes=CODES, bits=64)
    content = code_files.read(path)
    np.testing.assert_array_equal(content.codes, CODES)
    assert content[1:] == (64, None, {})
    np.savez(path, codes=CODES, bits=64, ids=list("abcdef"), run="r", network="n", labels=[1] * 6)
    content = code_files.read(path)
    assert (content.ids.tolist(), content.metadata) == (
        list("abcdef"),
        {"run": "r", "network": "n"},
    )


def test_the_database_of_a_run_says_where_it_is_from(tmp_path):
    (tmp_path / "codes").mkdir()
    path = tmp_path / "codes" / "database_learned.npz"
    np.savez(path, codes=CODES, bits=64, ids=range(6), network="n")
    content = code_files.read_database(str(tmp_path), "learned")
    assert content.metadata == {"run": str(tmp_path), "database": "learned", "network": "n"}
    assert HammingIndex.from_run(str(tmp_path), "learned").metadata == content.metadata
    np.savez(path, codes=CODES, bits=64)
    with pytest.raises(
        InputError, match=f"no codes of a run can be read: {path}: there are no ids"
    ):
        code_files.read_database(str(tmp_path), "learned")


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
    for wrong, message in (([2, 3], "not in the index"), ([0, 0], "more than once")):
        with pytest.raises(InputError, match=message):
            index.codes(ids[wrong])
    assert index.codes(ids[:0]).shape == (0, 2)
    other = "string" if ids.dtype.kind == "i" else 7
    with pytest.raises(InputError, match="not in the index"):
        index.codes([other])
