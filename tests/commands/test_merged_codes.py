"""index build --codes with several files: one index, in the order of the ids."""

import numpy as np
import pytest

from jhash.retrieval import HammingIndex
from jhash.retrieval.index import id_table
from jhash.runs import code_files

ONE = "0" * 64


@pytest.fixture
def build(jhash, tmp_path):
    """Writes files of codes by name, builds an index of them: (exit status, stderr, index)."""

    def call(**content):
        paths = []
        for name, fields in content.items():
            paths.append(tmp_path / f"{name}.npz".replace("_", "-"))
            ids = np.array(fields.pop("ids", ["a"]))
            fields = {"bits": 32, "network": ONE, **fields}
            codes = np.arange(1, len(ids) + 1, dtype=np.uint32)[:, None] * 10 ** len(paths)
            if not len(ids):
                ids = np.empty(0, np.str_)
            code_files.write(str(paths[-1]), codes, ids, **fields)
        output = tmp_path / "merged.index"
        status, _, err = jhash(
            "index", "build", "--overwrite", "--codes", *paths, "--output", output
        )
        return status, err, HammingIndex.load(output) if not status else None

    return call


def test_strings_and_integers_are_sorted(build):
    status, err, index = build(
        one={"ids": ["c", "a/longer name"], "run": "/r", "newest": 1.0},
        two={"ids": []},
        three={"ids": ["b"], "run": "/r", "newest": 2.0},
    )
    assert status == 0
    assert not err
    assert index.ids.tolist() == ["a/longer name", "b", "c"]
    np.testing.assert_array_equal(index.codes(index.ids)[:, 0], [20, 1000, 10])
    assert index.metadata == {"run": "/r", "network": ONE}, "what all files have alike"
    status, _, index = build(one={"ids": [30, 10]}, two={"ids": [20]})
    assert status == 0
    assert index.id_kind == "int64"
    assert index.ids.tolist() == [10, 20, 30]


def test_one_file_keeps_its_order(build):
    assert build(one={"ids": ["b", "a"]})[2].ids.tolist() == ["b", "a"]


def test_what_does_not_belong_together_is_refused(build):
    other = {"ids": ["b"]}
    assert "codes of one model" in build(one={}, two={**other, "network": "1" * 64})[1]
    assert "codes of one model" in build(one={}, two={**other, "bits": 31})[1]
    assert "--codes: files with integers and with strings" in build(one={}, two={"ids": [1]})[1]
    assert "ids: 'a' given more than once" in build(one={}, two={})[1]
    err = build(codes_00000_of_00003={}, codes_00002_of_00003=other)[1]
    assert "--codes: 2 of 3 shards in " in err
    assert "without codes-00001-of-00003.npz; allowed: all of them." in err


def test_ids_may_be_kept_in_a_table_beside_the_index(build, jhash, tmp_path):
    assert build(one={"ids": ["c", "a/longer name"]}, two={"ids": ["b"]})[0] == 0
    plain = HammingIndex.load(tmp_path / "merged.index")
    files = tmp_path / "one.npz", tmp_path / "two.npz"
    output, table = tmp_path / "integers.index", tmp_path / "integers.ids"
    arguments = ("index", "build", "--codes", *files, "--output", output, "--id-table", table)
    status, _, err = jhash(*arguments)
    assert status == 0, err
    index = HammingIndex.load(output)
    assert index.ids.tolist() == [0, 1, 2]
    assert index.metadata == {"network": ONE, "id_table": "integers.ids"}
    texts = id_table.IdTable(str(table))
    queries = plain.codes(plain.ids)
    distances, ids = index.search(queries, 3)
    expected = plain.search(queries, 3)
    np.testing.assert_array_equal(distances, expected[0])
    np.testing.assert_array_equal(texts.texts(ids), expected[1])
    output.unlink()
    assert "integers.ids given, which is there already" in jhash(*arguments)[2]
    assert jhash(*arguments, "--overwrite")[0] == 0
    assert build(one={"ids": [1]})[0] == 0
    status, _, err = jhash(*arguments[:3], files[0], *arguments[5:], "--overwrite")
    assert status == 1
    assert "--id-table: " in err
    assert "whose ids are integers" in err
