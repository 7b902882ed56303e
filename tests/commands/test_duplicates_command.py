"""Groups of near images from the command line, and folders of links to them."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from jhash.retrieval import HammingIndex

NAMES = ["a/1.png", "a/2.png", "b/1.png", "b/\x1b.png", "c.png"]


@pytest.fixture
def photos(tmp_path):
    for number, name in enumerate(NAMES):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((2, 2), number, np.uint8)).save(tmp_path / name)
    codes = np.array([[0], [1], [0b111 << 9], [0], [0b111 << 9]], np.uint32)
    metadata = {"root": str(tmp_path)}
    HammingIndex.build(codes, 16, np.array(NAMES), metadata).save(str(tmp_path / "i.index"))
    return tmp_path


def test_groups_as_words_and_as_json(jhash, photos):
    index = photos / "i.index"
    status, out, err = jhash("duplicates", "--index", index)
    assert (status, err) == (0, "")
    assert out == (
        "group 1\n     0  a/1.png\n     1  a/2.png\n     0  b/\\x1b.png\n"
        "group 2\n     0  b/1.png\n     0  c.png\n"
        f"{index}: 2 groups within radius 2, of 5 of 5 images.\n"
    )
    status, out, _ = jhash("duplicates", "--index", index, "--radius", "0", "--json")
    found = json.loads(out)
    assert (found["images"], found["radius"], found["links"]) == (5, 0, None)
    named = [[(image["id"], image["distance"]) for image in group] for group in found["groups"]]
    assert named == [[("a/1.png", 0), ("b/\x1b.png", 0)], [("b/1.png", 0), ("c.png", 0)]]


def test_links_to_the_images(jhash, photos):
    new = photos.with_name(f"{photos.name}-new")
    links = new / "links"
    status, out, _ = jhash("duplicates", "--index", photos / "i.index", "--links", links)
    assert status == 0
    assert out.endswith(f"Links are in {links}.\n")
    assert sorted(os.listdir(links)) == ["1", "2"]
    assert sorted(os.listdir(links / "1")) == ["1-1.png", "2-2.png", "3-\x1b.png"]
    assert os.path.realpath(links / "2" / "1-1.png") == os.path.realpath(photos / "b/1.png")
    assert Image.open(links / "2" / "2-c.png").size == (2, 2)
    assert os.listdir(new) == ["links"]
    status, _, err = jhash("duplicates", "--index", photos / "i.index", "--links", links)
    assert status == 1
    assert err == f"jhash: --links: {links} given, which exists; allowed: a new folder.\n"


def test_links_among_the_images_are_refused(jhash, photos):
    """The next update would take them for images."""
    status, _, err = jhash(
        "duplicates", "--index", photos / "i.index", "--links", photos / "l" / "m"
    )
    assert status == 1
    assert f"--links: {photos}/l/m given; allowed: a folder outside of those of the images" in err
    assert not (photos / "l").exists()


def test_what_is_refused(jhash, photos):
    path = photos / "numbers.index"
    HammingIndex.build(np.zeros((2, 1), np.uint32), 16).save(str(path))
    status, _, err = jhash("duplicates", "--index", path, "--links", photos / "l")
    assert status == 1
    assert "does not say where its images are; allowed: an index of image files." in err
    assert not (photos / "l").exists()
    status, _, err = jhash("duplicates", "--index", path, "--radius", "17")
    assert err.startswith("jhash: --radius: 17 given; allowed: 0 to 16")
    HammingIndex.build(np.zeros((0, 1), np.uint32), 16).save(str(path))
    assert jhash("duplicates", "--index", path)[1].endswith(
        "0 groups within radius 2, of 0 of 0 images.\n"
    )
