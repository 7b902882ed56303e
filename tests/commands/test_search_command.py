"""python -m jhash search: against distances counted bit by bit."""

import json
import os
import shutil

import numpy as np
import pytest

from jhash.retrieval.index.hamming_index import HammingIndex


@pytest.fixture(scope="module")
def nearest(index):
    """(id, radius) -> [(distance, id)] of the photos, by distance and then insertion."""
    opened = HammingIndex.load(index)
    bits = np.unpackbits(opened.export(), axis=1)
    names = opened.ids.tolist()

    def search(name, radius=12):
        distances = (bits != bits[names.index(name)]).sum(axis=1).tolist()
        found = [(distances[place], place) for place in range(len(names))]
        return [(d, names[place]) for d, place in sorted(found) if d <= radius]

    assert 2 < len(search("0.png", 1)) < 240
    return search


def results(jhash, index, *arguments):
    """What --json prints: {query: [(distance, id)]}."""
    status, out, err = jhash("search", "--index", index, "--json", *arguments)
    assert status == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    for line in lines:
        ranks = [found["rank"] for found in line["results"]]
        assert ranks == list(range(1, len(ranks) + 1))
        assert all(set(found) == {"rank", "distance", "id"} for found in line["results"])
    return {
        line["query"]: [(found["distance"], found["id"]) for found in line["results"]]
        for line in lines
    }


@pytest.mark.slow
def test_images_as_queries(jhash, index, photos, nearest):
    queries = [photos / "0.png", photos / "odd/5.png", photos / "238.png"]
    found = results(jhash, index, "-k", "25", "--image", *queries)
    names = ["0.png", "odd/5.png", "238.png"]
    assert found == {str(photos / name): nearest(name)[:25] for name in names}
    found = results(jhash, index, "--image", queries[0])
    assert found[str(queries[0])] == nearest("0.png")[:10]
    found = results(jhash, index, "--image", queries[0], "-k", "240")
    assert found[str(queries[0])] == nearest("0.png")


def test_ids_as_queries_with_a_radius(jhash, index, nearest):
    names = ["odd/5.png", "0.png"]
    found = results(jhash, index, "--id", *names, names[0], "--radius", "1")
    assert found == {name: nearest(name, 1) for name in names}
    found = results(jhash, index, "--id", *names, "--radius", "1", "-k", "2")
    assert found == {name: nearest(name, 1)[:2] for name in names}


def test_ids_as_queries_in_an_index_with_integers_and_two_words(jhash, tmp_path):
    rng = np.random.default_rng(0)
    packed = rng.integers(0, 2**32, (50, 2), dtype=np.uint32) & np.uint32([2**32 - 1, 2**9 - 1])
    index = HammingIndex.build(packed, 41, np.arange(50) * 3)
    index.save(tmp_path / "i.index")
    found = results(jhash, tmp_path / "i.index", "--id", "33", "-k", "50")["33"]
    distances = np.bitwise_count(packed ^ packed[11]).sum(axis=1)
    order = np.argsort(distances, kind="stable")
    assert found == [(distances[place], 3 * place) for place in order]


@pytest.mark.slow
def test_a_table_for_people(jhash, index, photos, nearest):
    status, out, err = jhash("search", "--index", index, "--image", photos / "0.png", "-k", "2")
    assert status == 0, err
    lines = out.splitlines()
    assert lines[0] == str(photos / "0.png")
    assert lines[1].split() == ["rank", "distance", "id"]
    expected = [[str(r), str(d), n] for r, (d, n) in enumerate(nearest("0.png")[:2], start=1)]
    assert [line.split() for line in lines[2:4]] == expected


@pytest.mark.slow
def test_unreadable_images_do_not_stop_the_others(jhash, index, photos, nearest):
    query = ("--image", "gone.png", photos / "0.png")
    status, out, err = jhash("search", "--index", index, "--json", "-k", "3", *query)
    assert status == 0
    first, second = map(json.loads, out.splitlines())
    assert first == {"query": "gone.png", "error": first["error"]}
    assert "No such file" in first["error"]
    assert first["error"] in err
    assert [found["id"] for found in second["results"]] == [n for _, n in nearest("0.png")[:3]]
    status, out, _ = jhash("search", "--index", index, *query)
    assert status == 0
    assert out.startswith(str(photos / "0.png"))


def test_no_readable_image(jhash, index):
    command = ("search", "--index", index, "--image", "gone.png", "nor.png")
    status, out, err = jhash(*command, "--json")
    assert status == 1
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["query"] for line in lines] == ["gone.png", "nor.png"]
    assert all(
        "No such file" in line["error"] and set(line) == {"query", "error"} for line in lines
    )
    message = "jhash: --image: 2 files given, none of which can be read; allowed: at least one "
    assert err.splitlines()[-1] == message + "readable image."
    assert jhash(*command)[:2] == (1, "")
    assert jhash(*command, "--radius", "2")[:2] == (1, "")


def test_a_small_index_has_fewer_results_than_the_default(jhash, tmp_path):
    HammingIndex.build(np.arange(4, dtype=np.uint32)[:, None], 12).save(tmp_path / "i.index")
    found = results(jhash, tmp_path / "i.index", "--id", "1")
    assert found == {"1": [(0, 1), (1, 0), (1, 3), (2, 2)]}


def test_a_run_that_does_not_fit_the_index_is_refused(jhash, index, run, photos, tmp_path):
    opened = HammingIndex.load(index)
    packed = opened.export()[:, :2].astype(np.uint32) @ np.uint32([[1], [256]])

    def error(bits, metadata, *arguments):
        HammingIndex.build(packed, bits, metadata=metadata).save(tmp_path / "other.index")
        query = ("--image", photos / "0.png", *arguments)
        status, _, err = jhash("search", "--index", tmp_path / "other.index", *query)
        assert status == (0 if err.endswith("not checked.\n") else 1 if err else 0)
        return err

    unchecked = f"jhash: {tmp_path}/other.index does not say which model made its codes; "
    unchecked += "not checked.\n"
    assert error(12, {"run": str(run)}) == unchecked
    assert error(12, {}, "--run", run) == unchecked
    assert error(12, opened.metadata) == ""
    assert f"because {tmp_path}/other.index names none." in error(12, {})
    gone = str(tmp_path / "gone")
    assert f"--run: {gone} given, which is no folder" in error(12, {"run": gone})
    other = f"{tmp_path}/other.index: codes of"
    assert f"{other} 13 bits given with" in error(13, {"run": str(run)})
    trained_on = {**opened.metadata, "network": "another"}
    assert f"{other} 12 bits given with" in error(12, trained_on)
    assert "codes of 12 bits by another model; allowed" in error(12, trained_on)
    moved = shutil.copytree(run, tmp_path / "moved")
    assert error(12, {**opened.metadata, "run": gone}, "--run", moved) == ""


def test_bad_input_is_named(jhash, index, tmp_path):
    def error(*arguments):
        status, _, err = jhash("search", *arguments)
        return status, err.splitlines()[-1]

    status, line = error("--index", index, "--id", "0.png", "none.png")
    assert (status, line) == (
        1,
        "jhash: ids: 'none.png' given; allowed: ids that are in the index.",
    )
    # Before the images are read: there is no such image.
    for query in (("--id", "0.png"), ("--image", "gone.png")):
        status, line = error("--index", index, *query, "--radius", "13")
        assert (status, line[:26]) == (1, "jhash: --radius: 13 given;")
        status, line = error("--index", index, *query, "-k", "241")
        assert (status, line) == (
            1,
            "jhash: -k: 241 given; allowed: 1 to 240, the index's length.",
        )
    status, line = error("--index", tmp_path / "gone.index", "--id", "0.png")
    assert status == 1
    assert "gone.index" in line
    HammingIndex.build(np.zeros((0, 1), np.uint32), 12).save(tmp_path / "empty.index")
    status, line = error("--index", tmp_path / "empty.index", "--id", "0")
    assert status == 1
    assert "is empty" in line
    for wrong in (("-k", "0"), ("-k", "x"), ("--radius", "-1"), ("--image", "a"), ("--run", "r")):
        assert error("--index", index, "--id", "0.png", *wrong)[0] == 2
    assert error("--index", index)[0] == 2


HOSTILE = ["a\nb.png", "\x1b[2J\x1b]0;x\x07.png", "gnp.\u202egpj", "<b>&.png", "c\\d.png"]


def test_names_that_a_terminal_would_obey(jhash, index, tmp_path):
    """Ids may have any characters; a table shows them harmlessly, JSON has them as they are."""
    path = tmp_path / "i.index"
    HammingIndex.build(np.arange(5, dtype=np.uint32)[:, None], 12, HOSTILE).save(path)
    for name in HOSTILE:
        status, out, err = jhash("search", "--index", path, "--id", name, "-k", "5")
        assert status == 0, err
        lines = out.split("\n")
        assert len(lines) == 9
        assert all(line.isprintable() for line in lines)
        assert ascii(name)[1:-1].replace("\\\\", "\\") in lines[0]
    status, out, err = jhash("search", "--index", path, "--json", "-k", "5", "--id", *HOSTILE)
    assert status == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["query"] for line in lines] == HOSTILE
    assert {found["id"] for found in lines[0]["results"]} == set(HOSTILE)
    status, _, err = jhash("search", "--index", path, "--id", "\x1b[2J\n")
    assert status == 1
    assert err.endswith("\n")
    assert err[:-1].isprintable()


def test_files_that_are_no_images(jhash, index, tmp_path):
    """A FIFO would be waited for, and a device has no end."""
    os.mkfifo(tmp_path / "fifo.png")
    undecodable = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n\x1b[2J.png")
    queries = [tmp_path / "fifo.png", "/dev/zero", "/proc/self/mem", tmp_path, undecodable]
    status, out, err = jhash("search", "--index", index, "--json", "--image", *queries)
    assert status == 1
    lines = [json.loads(line) for line in out.splitlines()]
    reasons = [line["error"].rsplit(": ", 1)[1] for line in lines]
    assert reasons[:4] == [*["Not a regular file"] * 3, "Is a directory"]
    assert lines[4]["query"] == f"{tmp_path}/\\xff\n\x1b[2J.png"
    out.encode()
    for line in lines:
        line["query"].encode()  # No half characters, which many readers of JSON refuse.
    assert len(err.splitlines()) == 6
    assert all(line.isprintable() for line in err.splitlines())
