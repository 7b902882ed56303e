"""Codes to a collection of Milvus and back, by its embedded engine."""

import functools
import itertools
import json
import sys

import numpy as np
import pytest

from jhash.encoding import image_search
from jhash.errors import InputError
from jhash.retrieval import HammingIndex
from jhash.retrieval.export import milvus
from jhash.retrieval.export.milvus import collection, searching, writing
from jhash.runs import code_classes
from jhash.serve.collection import Source, Watched
from tests.support import command
from tests.support.packed import random_codes

pytestmark = pytest.mark.slow
SIZE = 3000
BITS = 60
METADATA = {"network": "ab" * 32, "root": "/photos"}


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return str(tmp_path_factory.mktemp("milvus") / "codes.db")


@pytest.fixture(scope="module")
def index():
    """Codes of which many are equal, under shuffled ids."""
    codes = random_codes(SIZE, BITS)
    codes[::7] = codes[0]
    ids = [f"class{n % 3}/ä{n}.png" for n in np.random.default_rng(0).permutation(SIZE)]
    return HammingIndex.build(codes, BITS, ids, METADATA)


@pytest.fixture(scope="module")
def written(index, uri):
    """The index as a collection."""
    classes = code_classes.of_index(index)
    assert milvus.write(index, uri, "texts", classes, "/there/photos.index") == (SIZE, 0)
    return milvus.MilvusIndex.open(uri, "texts")


def assert_same_index(one, other):
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(one.export(), other.export())
    assert (one.bits, one.metadata) == (other.bits, other.metadata)


def test_distances_are_those_of_the_index(index, written):
    queries = np.concatenate([random_codes(20, BITS), random_codes(20, BITS, 1)])
    assert (len(written), written.bits, written.id_kind) == (SIZE, BITS, "string")
    assert (written.metadata, written.path) == (METADATA, "/there/photos.index")
    for k in (1, 10, 700):
        distances, ids = index.search(queries, k)
        theirs, their_ids = written.search(queries, k)
        np.testing.assert_array_equal(theirs, distances)
        # At the last distance Milvus chooses.
        nearer = distances < distances[:, -1:]
        np.testing.assert_array_equal(their_ids[nearer], ids[nearer])
    for mine, its in zip(
        index.search_radius(queries, 14), written.search_radius(queries, 14), strict=True
    ):
        np.testing.assert_array_equal(mine, its)
    some = index.ids[[7, 3, 2000]]
    np.testing.assert_array_equal(written.codes(some), index.codes(some))
    assert written.search(queries[:0], 3)[0].shape == (0, 3)


def test_wrong_searches(written, monkeypatch):
    queries = random_codes(2, BITS)
    with pytest.raises(InputError, match=r"^k: 3001 given; allowed: 1 to 3000, "):
        written.search(queries, SIZE + 1)
    with pytest.raises(InputError, match=r"^radius: 61 given; allowed: 0 to 60"):
        written.search_radius(queries, 61)
    with pytest.raises(InputError, match=r"^ids: 'no' given; allowed: ids that are in the index"):
        written.codes(["no"])
    monkeypatch.setattr(searching, "MAX_RESULTS", 50)
    with pytest.raises(InputError, match=r"^radius: 60 given; .* fewer than 50 codes, which "):
        written.search_radius(queries, 60)


def test_back_to_an_index(index, uri, written):
    assert_same_index(milvus.read(uri, "texts"), index)


def test_classes_are_fields(uri, written):
    found = collection.Collection(uri, "texts")
    assert found.count('classes == "class1"') == SIZE // 3
    assert found.count('network == "abababababababab"') == SIZE


def test_an_export_that_stops_goes_on(uri, monkeypatch):
    """It stops within a batch, of which some codes are there and others are not."""
    monkeypatch.setattr(writing, "_BATCH", 250)
    codes = random_codes(1030, 64)
    built = HammingIndex.build(codes, 64, np.arange(1030)[::-1] * 3, METADATA)
    wanted = collection.Collection(uri, "stopped")
    insert = type(wanted.client).insert
    calls = itertools.count(1)

    def stopping(self, name, rows):
        if next(calls) < 4:
            return insert(self, name, rows)
        insert(self, name, rows[40:90])  # As one of several shards may have it.
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(wanted.client), "insert", stopping)
        with pytest.raises(KeyboardInterrupt):
            milvus.write(built, uri, "stopped")
    assert wanted.count() == 800
    reported = []
    assert milvus.write(built, uri, "stopped", report=reported.append) == (280, 750)
    assert reported == [750, 250, 30]
    assert milvus.write(built, uri, "stopped") == (0, 1030)
    assert_same_index(milvus.read(uri, "stopped"), built)


def test_other_collections_are_refused(index, uri, written):
    codes = index.codes(index.ids)

    def write(codes=codes, bits=BITS, name="texts", **metadata):
        milvus.write(HammingIndex.build(codes, bits, index.ids, METADATA | metadata), uri, name)

    with pytest.raises(InputError, match=r"collection: texts given, .* by the model ab.*; allowed"):
        write(network="cd" * 32)
    with pytest.raises(InputError, match=r"collection: texts given, .* codes of 60 bits by"):
        write(codes, 61)
    with pytest.raises(InputError, match=r"collection: texts given, which was made of another in"):
        write(codes[::-1])
    with pytest.raises(InputError, match="index: an empty one given"):
        milvus.write(HammingIndex.build(codes[:0], BITS), uri, "empty")
    with pytest.raises(InputError, match=r"collection: none given, which is not in .*codes\.db"):
        milvus.read(uri, "none")
    client = collection.Collection(uri, "foreign").client
    client.create_collection("foreign", dimension=4)
    with pytest.raises(InputError, match="collection: foreign given, which has no codes of jhash"):
        milvus.read(uri, "foreign")
    with pytest.raises(
        InputError, match=r"^milvus: nowhere given, where .*; allowed: a server, or"
    ):
        milvus.read("nowhere", "texts")


def test_codes_that_another_model_made(uri):
    built = HammingIndex.build(random_codes(40, 64), 64, metadata=METADATA)
    milvus.write(built, uri, "mixed")
    client = collection.Collection(uri, "mixed").client
    [row] = client.query("mixed", filter="position == 7", output_fields=["*"])
    client.upsert("mixed", [row | {"code": b"12345678", "network": "cdcdcdcdcdcdcdcd"}])
    with pytest.raises(InputError, match=r"collection: mixed .* another model than abab.* 1 codes"):
        milvus.MilvusIndex.open(uri, "mixed")


def test_results_that_are_not_those_of_the_index(uri, monkeypatch):
    built = HammingIndex.build(random_codes(40, 64), 64)
    monkeypatch.setattr(
        milvus.MilvusIndex, "search", lambda *_: built.search(random_codes(10, 64), 10)
    )
    with pytest.raises(InputError, match="collection: wrong given, whose results are not those"):
        milvus.write(built, uri, "wrong")


def test_the_commands(index, uri, tmp_path, capsys):
    call = functools.partial(command.call, capsys)
    path, back = tmp_path / "an.index", tmp_path / "back.index"
    index.save(str(path))
    place = ("--milvus", uri, "--collection", "command")
    status, out, err = call("index", "export", "--index", path, *place)
    assert (status, out) == (
        0,
        "Exported 3,000 codes of 60 bits. command: 3,000 new, 0 there.\n",
    ), err
    status, out, _ = call("index", "export", "--index", path, *place, "--json", "--stream")
    assert json.loads(out)["found"] == SIZE
    assert call("index", "build", *place, "--output", back)[0] == 0
    assert back.read_bytes() == path.read_bytes()
    wanted = ("--id", index.ids[5], index.ids[8], "--json")
    # Within a radius there is no choice.
    expected = call("search", "--index", path, *wanted, "--radius", 12)
    assert call("search", *place, *wanted, "--radius", 12) == expected
    for wrong in (
        ("search", *place, "--index", path, *wanted),
        ("search", *wanted),
        ("search", *place, *wanted, "--stream"),
        ("search", *place[:2], *wanted),
        ("index", "build", *place, "--output", back, "--codes", path),
    ):
        assert call(*wrong)[0] == 2


def test_the_page_serves_a_collection(index, written, monkeypatch):
    class Encoder:
        bits = BITS

    monkeypatch.setattr(image_search, "load_encoder", lambda *_: Encoder())
    watched = Watched(Source("/there/photos.index", opened=written))
    assert not watched.look()
    identifier, code = watched.served.find(str(index.ids[9]))
    assert identifier == index.ids[9]
    [mine], [its] = (
        image_search.nearest(searched, code[None], radius=10)
        for searched in (index, watched.served.index)
    )
    np.testing.assert_array_equal(mine.ids, its.ids)
    np.testing.assert_array_equal(mine.distances, its.distances)


def test_without_pymilvus(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(InputError, match=r"pymilvus is not installed; .*'jhash\[milvus\]'"):
        milvus.read("codes.db", "texts")
