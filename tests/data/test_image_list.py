import dataclasses
import os

import ml_collections
import numpy as np
import pytest
from PIL import Image

from jhash import data, train
from jhash.data import sources, usable
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
        ("test", "images/4.png 0 1 0\nimages/5.png 0 2 0\n", "line 2: 1 labels behind 'images/5.p"),
        ("test", "images/4.png\n", "test.txt, line 1: .* given; allowed: a path"),
        ("test", "\t0 1 0\n", "line 1: 2 labels behind '0' given; allowed: 3"),
        ("test", "a b.png\t0 2 0\n", "line 1: .* given; allowed: a path, followed by labels"),
        ("test", "images/4.png 0 1\n", "test.txt, line 1: 2 labels .* given; allowed: 3"),
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


def test_unreadable_images_are_left_out_of_all_sets(folder, capsys):
    loaded = data.load("lists", "lists", folder=str(folder), image_size=4)
    assert usable.without_unreadable(loaded, usable.examine(loaded)) is loaded
    whole = (folder / "images/2.png").read_bytes()
    for number in (1, 2, 4):
        (folder / f"images/{number}.png").write_bytes(whole[: len(whole) // 2])
    relabeled = sources.RelabeledSource(loaded.source, loaded.source.labels, ("a", "b", "c"))
    for changed in (loaded, dataclasses.replace(loaded, source=relabeled)):
        examined = usable.examine(changed)
        assert sorted(examined.unreadable) == [1, 2, 4]
        kept = usable.without_unreadable(changed, examined)
        found = [getattr(kept, name).tolist() for name in ("train", "database", "queries")]
        assert found == [[0], [3], [5]]
        lines = capsys.readouterr().err.splitlines()
        for line, number in zip(lines, (1, 2, 4), strict=False):
            assert f"image {folder}/images/{number}.png cannot be read: " in line
        assert lines[3:] == ["jhash: 3 of 6 images cannot be read and are left out."]
    only_some = dataclasses.replace(loaded, train=loaded.train[:1], database=loaded.train[:1])
    assert sorted(usable.examine(only_some).unreadable) == [4]


def test_other_lists_are_another_data_set(folder):
    """A run must not go on with queries that it was trained on."""

    def load():
        return data.load("lists", "lists", folder=str(folder), image_size=4)

    examined = usable.examine(load())
    assert usable.without_unreadable(load(), examined)
    before = {part: (folder / f"{part}.txt").read_text() for part in ("train", "test")}
    for part, other in (("train", "test"), ("test", "train")):
        write(folder, part, before[other])
    write(folder, "database", "images/2.png 0 0 1\nimages/3.png 1 0 0")
    with pytest.raises(
        InputError, match=r"6 images, with other names or labels, or other lists; al"
    ):
        usable.without_unreadable(load(), examined)
    # Runs of older versions have none.
    assert usable.without_unreadable(load(), examined._replace(digest=""))


@pytest.mark.parametrize(
    ("lines", "labels", "names"),
    [
        # Blanks in paths: the label is the last word, or what follows a tab.
        (["a b.png cat", "c.png dog"], [0, 1], ("cat", "dog")),
        (["a b.png\tblack cat", "c.png\tdog"], [0, 1], ("black cat", "dog")),
        (["a b.png\t0", "c.png\t1"], [0, 1], ("0", "1")),
        (["a b.png 10", "c.png 9"], [1, 0], ("9", "10")),
        (["a b.png cat;dog", "c.png dog"], [[1, 1], [0, 1]], ("cat", "dog")),
        (["a b.png 0 1", "c.png 1 0"], [1, 0], ("0", "1")),
        (["a b.png\t0 1", "c.png\t1 1"], [[0, 1], [1, 1]], ("0", "1")),
    ],
)
def test_names_and_ids_of_classes_and_blanks_in_paths(tmp_path, lines, labels, names):
    for name in ("a b.png", "c.png", "a.png"):
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    write(tmp_path, "train", lines[0])
    write(tmp_path, "database", lines[0])
    write(tmp_path, "test", lines[1])
    source = ImageListSource(tmp_path, image_size=2)
    assert source.class_names == names
    np.testing.assert_array_equal(source.labels, labels)
    assert source.paths == [str(tmp_path / "a b.png"), str(tmp_path / "c.png")]


def test_one_column_or_two_ids_is_not_guessed(folder):
    for part, line in (("train", "0.png 0"), ("database", "1.png 1"), ("test", "2.png 1")):
        write(folder, part, f"images/{line}\n")
    with pytest.raises(InputError, match=r"train.txt, line 1: 'images/0.png 0', in lists wi"):
        ImageListSource(folder)
    write(folder, "test", "images/2.png 2\n")
    np.testing.assert_array_equal(ImageListSource(folder).labels, [0, 1, 2])
    write(folder, "test", "images/2.png\n")
    with pytest.raises(InputError, match=r"line 1: 'images/2.png' given; allowed: a path"):
        ImageListSource(folder)


def test_images_as_they_are_stored_or_shown(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    halves = np.zeros((8, 8, 3), np.uint8)
    halves[:4] = 200
    Image.fromarray(halves).save(tmp_path / "a.png", exif=exif)
    Image.fromarray(halves).save(tmp_path / "b.png")
    for part, line in (("train", "a.png x"), ("database", "a.png x"), ("test", "b.png y")):
        write(tmp_path, part, line)
    top = [ImageListSource(tmp_path, None, 8, shown).images([0])[0, 0, 0, 0] for shown in (0, 1)]
    assert top == [200, 0]
    options = {"folder": str(tmp_path), "image_size": 8}
    fields = {"source": "lists", "split": "lists", "seed": 0, "options": options}
    config = ml_collections.ConfigDict(fields)
    image = ml_collections.ConfigDict({"resize": "pad"})
    assert data.load_config(config, image).source._reading == ("pad", False)
    config.options.resize = "crop"
    with pytest.raises(InputError, match=r"^config.data.options.resize: 'crop' given; allowed: c"):
        data.load_config(config, image)
    config.source, config.split, config.options = "embedded", "embedded", {}
    with pytest.raises(InputError, match=r"^config.image.resize: pad given; allowed: stretch, "):
        data.load_config(config, image)


def test_images_are_checked_before_training_and_only_then(folder, tmp_path, monkeypatch):
    """One in the test part ended a run after its training."""
    config = tiny.get_config()
    config.data.source, config.data.split = "lists", "lists"
    config.data.options = {"folder": str(folder), "image_size": 8}
    config.batch_size = 8
    for number in (4, 5):
        path = folder / f"images/{number}.png"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"^config.data.source: 2 images of the set q.*4.png"):
        train.train(config, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()

    class BuiltError(Exception):
        pass

    def build(config, check_images, given, examined):
        raise BuiltError(check_images)

    monkeypatch.setattr(train, "build", build)
    frozen = ml_collections.FrozenConfigDict(config)
    workdirs.claim(str(tmp_path / "begun"), frozen)
    for name, checked in (("new", True), ("begun", False)):
        with pytest.raises(BuiltError, match=str(checked)):
            train.train(config, str(tmp_path / name))
