import dataclasses
import os

import ml_collections
import numpy as np
import pytest
from PIL import Image

from jhash import data, train
from jhash.data import sources
from jhash.data.image_list import ImageListSource
from jhash.errors import InputError
from jhash.runs import workdirs
from tests.support import tiny


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(6):
        Image.new("RGB", (8, 6), (40 * number, 7, 9)).save(tmp_path / f"images/{number}.png")
    write(tmp_path, "train", "images/0.png 1 0 0\nimages/1.png 0 1 0\n")
    write(tmp_path, "database", "images/1.png 0 1 0\nimages/2.png 0 0 1\n\nimages/3.png 1 0 0")
    write(tmp_path, "test", "images/4.png 0 1 0\nimages/5.png 0 0 1\n")
    return tmp_path


def write(folder, part, text):
    (folder / f"{part}.txt").write_text(text)


def test_lists_become_parts_and_class_ids(folder):
    source = ImageListSource(folder, image_size=4)
    assert len(source) == 6  # 1.png is in two lists and one item
    np.testing.assert_array_equal(source.parts["train"], [0, 1])
    np.testing.assert_array_equal(source.parts["database"], [1, 2, 3])
    np.testing.assert_array_equal(source.parts["test"], [4, 5])
    assert source.labels.dtype == np.int32
    np.testing.assert_array_equal(source.labels, [0, 1, 2, 0, 1, 2])
    assert source.class_names == ("0", "1", "2")
    images = source.images(np.array([5, 2]))
    assert images.shape == (2, 4, 4, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[:, 0, 0], [[200, 7, 9], [80, 7, 9]])


def test_labels_stay_rows_when_one_image_has_two_or_none(folder):
    for row in ("1 1 0", "0 0 0"):
        write(folder, "test", f"images/4.png 0 1 0\nimages/5.png {row}\n")
        source = ImageListSource(folder)
        assert source.labels.dtype == np.uint8
        np.testing.assert_array_equal(source.labels[0], [1, 0, 0])
        np.testing.assert_array_equal(source.labels[5], [int(bit) for bit in row.split()])


def test_load_uses_the_lists_and_the_root(folder):
    lists = folder / "lists"
    lists.mkdir()
    for part in ("train", "database", "test"):
        (folder / f"{part}.txt").rename(lists / f"{part}.txt")
    loaded = data.load("lists", "lists", folder=str(lists), root=str(folder), image_size=5)
    assert loaded.source.image_shape == (5, 5, 3)
    np.testing.assert_array_equal(loaded.train, [0, 1])
    np.testing.assert_array_equal(loaded.database, [1, 2, 3])
    np.testing.assert_array_equal(loaded.queries, [4, 5])
    with pytest.raises(
        InputError,
        match=r"^root: .*6 of 6 image files are missing or no regular files, first .*0.png",
    ):
        data.load("lists", "lists", folder=str(lists))


@pytest.mark.parametrize(
    ("part", "text", "message"),
    [
        ("test", "images/4.png 0 1 0\nimages/5.png 0 2 0\n", "test.txt, line 2: 'images/5.png 0 2"),
        ("test", "images/4.png\n", "test.txt, line 1: .* given; allowed: a path"),
        ("test", "my image.png 0 1 0\n", "line 1: .* given; allowed: .* without blanks"),
        ("test", "images/4.png 0 1\n", "test.txt, line 1: 2 labels given; allowed: 3"),
        ("test", "", "test.txt is empty"),
        ("test", "\n \n", "test.txt is empty"),
        ("test", "images/4.png 0 1 0\n\nimages/./4.png 0 1 0\n", "line 3: .* in line 1 already"),
        ("test", "images/1.png 0 1 0\n", "1 images of test.txt are in train.txt too, .*1.png"),
        ("test", "images/./3.png 1 0 0\n", "1 images of test.txt are in database.txt too"),
        ("database", "images/0.png 0 0 1\n", "database.txt, line 1: .* other labels than before"),
        ("database", "images/8.png 0 0 1\nimages/9.png 0 0 1", "2 of 6 image files .*8.png"),
    ],
)
def test_bad_lists_are_rejected(folder, part, text, message):
    write(folder, part, text)
    with pytest.raises(InputError, match=rf"^(folder|root): {folder}.*{message}"):
        ImageListSource(folder)


def test_a_missing_list_is_named(folder):
    (folder / "database.txt").unlink()
    with pytest.raises(InputError, match=rf"^folder: {folder} given, where database.txt cannot"):
        ImageListSource(folder)


@pytest.mark.parametrize("damage", [lambda data: b"no image", lambda data: data[: len(data) // 2]])
def test_an_unreadable_image_is_named(folder, damage):
    path = folder / "images/2.png"
    path.write_bytes(damage(path.read_bytes()))
    source = ImageListSource(folder)
    source.images(np.array([0, 1]))
    with pytest.raises(InputError, match=f"image {path} cannot be read"):
        source.images(np.array([0, 2]))


def test_files_of_windows_are_read(folder):
    """Notepad puts a mark before the text, and ends lines by CR and LF."""
    expected = ImageListSource(folder)
    for part in ("train", "database", "test"):
        path = folder / f"{part}.txt"
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    source = ImageListSource(folder)
    np.testing.assert_array_equal(source.labels, expected.labels)
    np.testing.assert_array_equal(source.images(np.arange(6)), expected.images(np.arange(6)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"images/4.png 0 1 0\n\xff\xfe 0 1 0\n",
            r"line 2: b'.xff.xfe 0 1 0' given; allowed: text",
        ),
        ("images/4.png 0 1 0\n".encode("utf-16"), "line 1: .* given; allowed: text in UTF-8"),
        (b"images/4.png" + b" 1" * 600_000, "line 1: 1,200,012 bytes given; allowed: up to 1,048"),
        (b"images/\0.png 0 1 0", r"1 of 5 image files are missing or no .*images/.x00.png"),
        (b"images/\x1b[2J.png 0 1 0", r"first \S*images/\\x1b\[2J.png; allowed"),
        (b"/dev/zero 0 1 0", "1 of 5 image files are missing or no regular files, first /dev/zero"),
        (b"fifo 0 1 0", "1 of 5 image files are missing or no regular files, first .*/fifo"),
        (b"x" * 9000 + b" 0 1 0", r"first \S{,310}\.\.\.; allowed"),
    ],
)
def test_hostile_lists_end_in_one_line(folder, content, message):
    os.mkfifo(folder / "fifo")
    (folder / "test.txt").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        ImageListSource(folder)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800


def test_a_list_that_is_a_fifo_does_not_hang(folder):
    (folder / "test.txt").unlink()
    os.mkfifo(folder / "test.txt")
    with pytest.raises(InputError, match=r"where test.txt cannot be read: Not a regular file;"):
        ImageListSource(folder)


def test_all_unreadable_images_are_named_at_once(folder):
    loaded = data.load("lists", "lists", folder=str(folder), image_size=4)
    data.check_images(loaded)
    whole = (folder / "images/2.png").read_bytes()
    for number in (1, 2, 4):
        (folder / f"images/{number}.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"^source: 3 of 6 images given that cannot be") as caught:
        data.check_images(loaded)
    for number in range(6):
        path = f"image {folder}/images/{number}.png cannot be read: "
        assert (path in str(caught.value)) == (number in (1, 2, 4))
    for number in range(6):
        (folder / f"images/{number}.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"6 of 6 .*4.png .*; and 1 more\. Mend them") as caught:
        data.check_images(loaded)
    assert "5.png" not in str(caught.value)
    relabeled = sources.RelabeledSource(loaded.source, loaded.source.labels, ("a", "b", "c"))
    with pytest.raises(InputError, match="6 of 6"):
        data.check_images(dataclasses.replace(loaded, source=relabeled))
    only_some = dataclasses.replace(loaded, train=loaded.train[:1], database=loaded.train[:1])
    with pytest.raises(InputError, match=r"3 of 3 .*0.png .*4.png .*5.png"):
        data.check_images(only_some)


def test_images_are_checked_before_training_and_only_then(folder, tmp_path, monkeypatch):
    """One in the test part ended a run after its training."""
    config = tiny.get_config()
    config.data.source, config.data.split = "lists", "lists"
    config.data.options = {"folder": str(folder), "image_size": 8}
    config.batch_size = 8
    path = folder / "images/5.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"^config.data.source: 1 of 6 images given .*5.png"):
        train.train(config, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()

    class BuiltError(Exception):
        pass

    def build(config, check_images, given):
        raise BuiltError(check_images)

    monkeypatch.setattr(train, "build", build)
    frozen = ml_collections.FrozenConfigDict(config)
    workdirs.claim(str(tmp_path / "begun"), frozen)
    for name, checked in (("new", True), ("begun", False)):
        with pytest.raises(BuiltError, match=str(checked)):
            train.train(config, str(tmp_path / name))
