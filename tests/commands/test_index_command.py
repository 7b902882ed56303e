"""python -m jhash index: built from each source, changed, exported."""

import hashlib
import json
import shutil
import threading
import time

import faiss
import numpy as np
import pytest

from jhash.commands import main
from jhash.retrieval.index.hamming_index import HammingIndex


@pytest.fixture
def copy(index, tmp_path):
    """A copy of the index, to be changed."""
    return shutil.copy(index, tmp_path / "copy.index")


def codes_of(path):
    with np.load(path) as file:
        return file["codes"], file["ids"]


def as_bytes(packed, bits):
    """Packed words as bytes, written out: byte b holds bits 8 b to 8 b + 7."""
    columns = [packed[:, b // 4] >> (8 * (b % 4)) & 0xFF for b in range(-(-bits // 8))]
    return np.stack(columns, axis=1).astype(np.uint8)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ((), "database"),
        (("--database", "encoded"), "database"),
        (("--database", "learned"), "database_learned"),
    ],
)
def test_built_from_a_run(jhash, run, tmp_path, given, name):
    path = tmp_path / "new" / "database.index"
    status, out, err = jhash("index", "build", "--run", run, "--output", path, *given)
    assert status == 0, err
    assert out == f"{path}: 200 codes of 12 bits.\n"
    packed, ids = codes_of(run / "codes" / f"{name}.npz")
    built = HammingIndex.load(path)
    np.testing.assert_array_equal(built.ids, ids)
    np.testing.assert_array_equal(built.export(), as_bytes(packed, 12))
    assert built.metadata == {
        "run": str(run),
        "database": given[1] if given else "encoded",
        "network": digest(run),
    }


def digest(run):
    """The first 32 bytes of encoder.bin, which are the SHA-256 of the others."""
    content = (run / "encoder.bin").read_bytes()
    assert hashlib.sha256(content[32:]).digest() == content[:32]
    return content[:32].hex()


def test_a_run_whose_codes_are_not_of_its_network(jhash, run, tmp_path):
    """As a kill between the two leaves it, and as an earlier version wrote it."""
    copied, path = tmp_path / "run", tmp_path / "new.index"
    copied.mkdir()
    shutil.copytree(run / "codes", copied / "codes")
    with np.load(run / "codes" / "database.npz") as file:
        content = dict(file)

    def build():
        status, _, err = jhash("index", "build", "--run", copied, "--output", path)
        assert path.exists() == (status == 0)
        return status, err

    status, err = build()
    assert status == 1
    assert f"{copied}/encoder.bin: there is no such file" in err
    shutil.copy(run / "encoder.bin", copied)
    np.savez(copied / "codes" / "database.npz", **content | {"network": "another"})
    status, err = build()
    assert status == 1
    assert f"{copied}: codes of another model than encoder.bin given" in err
    assert f"python launch.py --mode=eval --workdir={copied}" in err
    (copied / "encoder.bin").unlink()
    content.pop("network")
    np.savez(copied / "codes" / "database.npz", **content)
    status, err = build()
    assert status == 0
    assert err == f"jhash: {copied} does not say which model made its codes; not checked.\n"
    assert "network" not in HammingIndex.load(path).metadata


def test_built_from_images_as_from_their_codes(jhash, run, photos, index, tmp_path):
    encoded, path = tmp_path / "photos.npz", tmp_path / "photos.index"
    assert jhash("encode", "--run", run, "--images", photos, "--output", encoded)[0] == 0
    assert jhash("index", "build", "--codes", encoded, "--output", path)[0] == 0
    assert path.read_bytes() == index.read_bytes()
    packed, ids = codes_of(encoded)
    built = HammingIndex.load(path)
    newest = max(path.stat().st_mtime for path in photos.rglob("*.png"))
    assert built.metadata == {
        "run": str(run),
        "network": digest(run),
        "root": str(photos),
        "newest": newest,
    }
    np.testing.assert_array_equal(built.ids, ids)
    np.testing.assert_array_equal(built.export(), as_bytes(packed, 12))


def test_removed_and_added_again(jhash, run, photos, copy, tmp_path):
    status, out, err = jhash("index", "remove", "--index", copy, "odd/7.png", "0.png")
    assert status == 0, err
    assert out == f"Removed 2. {copy}: 238 codes of 12 bits.\n"
    names = HammingIndex.load(copy).ids.tolist()
    assert "odd/7.png" not in names
    encoded = tmp_path / "more.npz"
    jhash("encode", "--run", run, "--images", photos / "0.png", "--output", encoded)
    status, out, err = jhash("index", "add", "--index", copy, "--codes", encoded)
    assert status == 0, err
    assert out == f"Added 1. {copy}: 239 codes of 12 bits.\n"
    assert HammingIndex.load(copy).ids.tolist() == [*names, "0.png"]  # Its id in this index.
    before = copy.read_bytes()
    for wrong in (["add", "--index", copy, "--codes", encoded], ["remove", "--index", copy, "no"]):
        status, _, err = jhash("index", *wrong)
        assert status == 1
        assert err.startswith("jhash: ids: ")
    assert copy.read_bytes() == before


def test_changes_at_the_same_time_are_all_made(jhash, index, copy, tmp_path, monkeypatch):
    """Also through a link to the index."""
    link = tmp_path / "link.index"
    link.symlink_to(copy)
    load = HammingIndex.load

    def slow(path):
        loaded = load(path)
        time.sleep(0.1)  # Long enough for all others to load the same index.
        return loaded

    monkeypatch.setattr(HammingIndex, "load", slow)
    before, metadata = load(index).ids.tolist(), load(index).metadata
    calls = [("remove", "--index", copy, "0.png"), ("remove", "--index", link, "odd/7.png")]
    for name in "abc":
        path = tmp_path / f"{name}.npz"
        np.savez(path, codes=np.zeros((1, 1), np.uint32), ids=[name], bits=12, **metadata)
        calls.append(("add", "--index", copy, "--codes", path))
    statuses = []
    threads = [
        threading.Thread(
            target=lambda call: statuses.append(main.main(["index", *map(str, call)])), args=(call,)
        )
        for call in calls
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [0] * 5
    left = [name for name in before if name not in ("0.png", "odd/7.png")]
    ids = load(copy).ids.tolist()
    assert ids[: len(left)] == left
    assert sorted(ids[len(left) :]) == ["a", "b", "c"]
    assert link.is_symlink()


def test_an_index_that_is_not_there_gets_no_lock(jhash, tmp_path):
    status, _, err = jhash("index", "remove", "--index", tmp_path / "folder" / "i", "a")
    assert status == 1
    assert f"--index: {tmp_path}/folder/i given; allowed: the file of an index." in err
    assert not list(tmp_path.iterdir())


def test_integer_ids_are_read_as_such(jhash, run, tmp_path):
    path = tmp_path / "database.index"
    jhash("index", "build", "--run", run, "--output", path)
    assert jhash("index", "remove", "--index", path, "3", "199")[0] == 0
    assert HammingIndex.load(path).ids.tolist() == [n for n in range(199) if n != 3]
    status, _, err = jhash("index", "remove", "--index", path, "3.png")
    assert status == 1
    assert "ID: ['3.png'] given; allowed: integers, as the ids of this index are." in err


def test_codes_of_another_network_are_refused(jhash, copy, tmp_path):
    packed = np.zeros((1, 1), np.uint32)
    path = tmp_path / "codes.npz"
    for bits, network in ((12, "another"), (11, None)):
        made_by = {"network": network} if network else {}
        np.savez(path, codes=packed, ids=["new"], bits=bits, **made_by)
        status, _, err = jhash("index", "add", "--index", copy, "--codes", path)
        assert status == 1
        assert f"{copy}: codes of 12 bits given with" in err
        assert f"{path}, codes of {bits} bits by another model; allowed: codes of one" in err
    np.savez(path, codes=packed, ids=["new"], bits=12)  # Nobody knows whose; the user does.
    unchecked = "does not say which model made its codes; not checked.\n"
    status, _, err = jhash("index", "add", "--index", copy, "--codes", path)
    assert (status, err) == (0, f"jhash: {path} {unchecked}")
    HammingIndex.build(packed, 12, ["old"]).save(copy)
    np.savez(path, codes=packed, ids=["new"], bits=12, network="some")
    status, _, err = jhash("index", "add", "--index", copy, "--codes", path)
    assert (status, err) == (0, f"jhash: {copy} {unchecked}")


def test_codes_of_a_run_carry_its_network(jhash, run, tmp_path):
    path = tmp_path / "queries.index"
    given = ("--codes", run / "codes" / "queries.npz", "--output", path)
    assert jhash("index", "build", *given)[0] == 0
    assert HammingIndex.load(path).metadata == {"network": digest(run)}


def test_info_says_what_is_in_it(jhash, run, index):
    status, out, _ = jhash("index", "info", "--index", index)
    assert status == 0
    lines = out.splitlines()
    assert lines[:3] == [f"{index}: 240 codes of 12 bits.", "ids: strings", f"run: {run}"]


def test_exported_as_bytes_ids_and_faiss(jhash, run, index, tmp_path):
    path, packed, ids = tmp_path / "database.index", tmp_path / "p.npy", tmp_path / "i.npy"
    jhash("index", "build", "--run", run, "--output", path)
    jhash("index", "remove", "--index", path, "0")  # So that positions are not ids.
    status, _, err = jhash(
        "index",
        "export",
        "--index",
        path,
        "--packed",
        packed,
        "--ids",
        ids,
        "--faiss",
        tmp_path / "f",
    )
    assert status == 0, err
    codes, places = codes_of(run / "codes" / "database.npz")
    rows = as_bytes(codes, 12)
    np.testing.assert_array_equal(np.load(packed), rows[1:])
    np.testing.assert_array_equal(np.load(ids), places[1:])
    exported = faiss.read_index_binary(str(tmp_path / "f"))
    distances, found = exported.search(rows[1:], 1)
    assert not distances.any()
    np.testing.assert_array_equal(rows[found[:, 0]], rows[1:])
    assert 0 not in exported.search(rows, 199)[1]
    status, _, err = jhash("index", "export", "--index", index, "--faiss", tmp_path / "g")
    assert status == 1
    assert "faiss has integer ids only" in err
    assert not (tmp_path / "g").exists()
    assert jhash("index", "export", "--index", index, "--ids", ids)[0] == 0
    assert np.load(ids).tolist() == HammingIndex.load(index).ids.tolist()


@pytest.mark.parametrize(
    "arguments",
    [
        ("build", "--output", "x"),
        ("build", "--output", "x", "--codes", "c", "--run", "r"),
        ("build", "--output", "x", "--codes", "c", "--images", "i"),
        ("build", "--output", "x", "--run", "r", "--images", "i", "--bits", "8"),
        ("build", "--output", "x", "--images", "i", "--batch-size", "8"),
        ("add", "--index", "x"),
        ("add", "--index", "x", "--codes", "c", "--images", "i"),
        ("build", "--output", "x", "--run", "r", "--images", "i", "--database", "learned"),
        ("build", "--output", "x", "--codes", "c", "--database", "learned"),
        ("build", "--output", "x", "--run", "r", "--database", "both"),
        ("export", "--index", "x"),
        ("remove", "--index", "x"),
        (),
    ],
)
def test_wrong_use(jhash, arguments):
    status, _, err = jhash("index", *arguments)
    assert status == 2
    assert err.startswith("usage: python -m jhash index")


def test_files_that_hold_no_codes(jhash, tmp_path):
    path = tmp_path / "codes.npz"

    def error():
        arguments = ("--codes", path, "--output", tmp_path / "new.index")
        status, _, err = jhash("index", "build", *arguments)
        assert status == 1
        assert len(err.splitlines()) == 1
        assert not (tmp_path / "new.index").exists()
        return err

    assert "No such file" in error()
    path.write_text("no archive")
    assert "the file is no NumPy archive (.npz), or it is damaged" in error()
    np.save(path.open("wb"), np.zeros(3))
    assert "the file is no NumPy archive (.npz), or it is damaged" in error()
    np.savez(path, codes=np.zeros((2, 1), np.uint32))
    assert f"{path}: the file has no bits" in error()
    np.savez(path, codes=np.zeros((2, 1), np.uint32), bits=40)
    assert "40 bits take 2 words" in error()
    path.write_bytes(path.read_bytes()[:-30])
    assert "the file is no NumPy archive (.npz), or it is damaged" in error()


def test_an_index_is_replaced_only_if_asked(jhash, run, tmp_path):
    path, codes = tmp_path / "i.index", run / "codes" / "queries.npz"
    assert jhash("index", "build", "--codes", codes, "--output", path)[0] == 0
    before = path.read_bytes()
    for given in (("--codes", codes), ("--run", "gone"), ("--images", "gone")):
        status, out, err = jhash("index", "build", *given, "--output", path)
        assert (status, out) == (1, "")
        assert err == (
            f"jhash: --output: {path} given, but there is {path}; allowed: a new file, or "
            "--overwrite to replace it.\n"
        )
    assert path.read_bytes() == before
    assert jhash("index", "build", "--run", run, "--output", path, "--overwrite")[0] == 0
    assert len(HammingIndex.load(path)) == 200


def test_json_in_place_of_words(jhash, run, photos, index, tmp_path):
    def line(*arguments):
        status, out, err = jhash(*arguments, "--json")
        assert status == 0, err
        assert out.count("\n") == 1
        return json.loads(out)

    path, codes, bad = tmp_path / "i.index", tmp_path / "c.npz", tmp_path / "bad.png"
    bad.write_text("no image")
    made = line("encode", "--run", run, "--images", bad, photos / "0.png", "--output", codes)
    assert made.pop("seconds") >= 0
    (reason,) = made.pop("unreadable")
    assert reason.startswith(f"image {bad} cannot be read: ")
    assert made == {"output": str(codes), "bits": 12, "images": 2, "encoded": 1, "others": {}}
    made = line("index", "build", "--run", run, "--images", photos / "odd", "--output", path)
    assert made.pop("seconds") >= 0
    expected = {"index": str(path), "codes": 120, "bits": 12}
    assert made == {**expected, "images": 120, "encoded": 120, "unreadable": [], "others": {}}
    expected["codes"] = 121
    added = line("index", "add", "--index", path, "--codes", codes)
    assert added == {**expected, "added": 1}
    expected["codes"] = 119
    removed = line("index", "remove", "--index", path, "7.png", "9.png")
    assert removed == {**expected, "removed": 2}
    found = line("index", "info", "--index", path)
    metadata = HammingIndex.load(path).metadata
    assert found == {**expected, "ids": "strings", "metadata": metadata}
    packed = tmp_path / "p.npy"
    exported = line("index", "export", "--index", path, "--packed", packed)
    assert exported == {**expected, "packed": str(packed), "faiss": None, "ids": None}
