"""A folder of images as data: classes, parts, tables of labels, and what is left out."""

import numpy as np
import pytest
from PIL import Image

from jhash import data
from jhash.data import usable
from jhash.data.folder import FolderSource
from jhash.errors import InputError


def draw(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6, 3), value, np.uint8)).save(path)


def fill(folder, names):
    for value, name in enumerate(names):
        draw(folder / name, value)
    return folder


def open_folder(folder, **options):
    return FolderSource(folder, image_size=4, **options)


CLASSES = [f"{name}/{number}.png" for name in ("dog", "cat") for number in range(10)]


def test_subfolders_are_classes(tmp_path):
    source = open_folder(fill(tmp_path, [*CLASSES, "cat/deep/er.png"]))
    assert source.class_names == ("cat", "dog")
    np.testing.assert_array_equal(source.labels, [0] * 11 + [1] * 10)
    assert source.labels.dtype == np.int32
    assert source.notes == [
        f"{tmp_path}: 21 images of 2 classes, which are subfolders (labels=none if they are no "
        "classes)."
    ]
    assert source.paths[10] == f"{tmp_path}/cat/deep/er.png"
    assert (source.images(np.array([11, 12]))[:, 0, 0, 0] == [0, 1]).all()
    without = open_folder(tmp_path, labels="none")
    assert (without.labels.shape, without.class_names) == ((21, 0), ())
    assert without.digest != source.digest


@pytest.mark.parametrize(
    "names", [["a.png", "b.png"], ["2024/a.png", "2024/b.png"], ["a.png", "s/b.png"]]
)
def test_images_without_labels(tmp_path, names):
    source = open_folder(fill(tmp_path, names))
    assert source.labels.shape == (2, 0)
    assert source.notes == [f"{tmp_path}: 2 images without labels."]


def test_a_missing_class_is_named(tmp_path):
    fill(tmp_path, [*CLASSES, "loose.png", "other.png"])
    with pytest.raises(InputError, match=r"^labels: none given for .* 2 of 22 .* loose\.png, o"):
        open_folder(tmp_path)
    with pytest.raises(InputError, match=r"^labels: folders given .* 2 of 22 .* loose\.png, o"):
        open_folder(tmp_path, labels="folders")


def test_one_class_and_classes_of_one_image(tmp_path):
    fill(tmp_path, [*CLASSES, "lion/1.png", "ant/1.png"])
    assert open_folder(tmp_path).notes[1:] == [
        "2 classes have one image, which is trained on and searched, but is no query: ant, lion."
    ]
    (tmp_path / "table.csv").write_text("cat/1.png,cat\ncat/2.png,cat\n")
    notes = open_folder(tmp_path, labels=str(tmp_path / "table.csv")).notes
    assert "With one class, every image is relevant to every other." in notes


def test_parts_by_their_names_and_synonyms(tmp_path):
    names = ["Train/cat/1.png", "gallery/dog/2.png", "test/cat/3.png", "VAL/dog/4.png", "x/5.png"]
    loaded = data.load("folder", "folder", folder=str(fill(tmp_path, names)), image_size=4)
    assert loaded.source.class_names == ("cat", "dog")
    assert "1 images beside Train, VAL, gallery, test are left out." in loaded.source.notes
    values = {
        name: loaded.source.images(getattr(loaded, name))[:, 0, 0, 0].tolist()
        for name in ("train", "database", "queries", "validation")
    }
    assert values == {"train": [0], "database": [1], "queries": [2], "validation": [3]}
    fill(tmp_path, ["query/cat/1.png"])
    with pytest.raises(InputError, match=r"^folder: .* where query and test are both the part "):
        open_folder(tmp_path)


def test_parts_that_are_missing(tmp_path):
    fill(tmp_path, ["train/cat/1.png", "train/dog/2.png", "val/cat/3.png"])
    loaded = data.load("folder", "folder", folder=str(tmp_path), image_size=4)
    np.testing.assert_array_equal(loaded.train, loaded.database)
    assert (len(loaded.train), len(loaded.queries), len(loaded.validation)) == (2, 1, 0)
    # Without a training set or a database, these names are classes.
    assert open_folder(fill(tmp_path / "other", ["test/a.png", "rest/b.png"])).class_names == (
        "rest",
        "test",
    )


def test_a_split_is_drawn_per_class_by_the_seed(tmp_path):
    fill(tmp_path, [*CLASSES, "lion/1.png"])

    def load(seed, **options):
        options = {"folder": str(tmp_path), "image_size": 4, **options}
        return data.load("folder", "folder", seed=seed, **options)

    loaded = load(0)
    np.testing.assert_array_equal(np.bincount(loaded.labels(loaded.queries)), [1, 1])
    np.testing.assert_array_equal(loaded.train, loaded.database)
    assert len(loaded.train) + len(loaded.queries) == 21
    np.testing.assert_array_equal(load(0).queries, loaded.queries)
    assert any((load(seed).queries != loaded.queries).any() for seed in range(1, 4))
    assert np.bincount(load(0).labels(load(0, query_share=0.3).queries)).tolist() == [3, 3]
    assert len(load(0, labels="none").queries) == 2
    with pytest.raises(InputError, match="query_share: 1 given; allowed: between 0 and 1"):
        load(0, query_share=1)


def test_a_split_of_images_with_several_classes(tmp_path):
    fill(tmp_path, [f"{number}.png" for number in range(20)])
    lines = [f"{number}.png,{'rare;common' if number < 2 else 'common'}" for number in range(20)]
    (tmp_path / "l.csv").write_text("\n".join(lines))
    options = {"folder": str(tmp_path), "labels": str(tmp_path / "l.csv"), "image_size": 4}
    loaded = data.load("folder", "folder", **options)
    rows = loaded.labels(loaded.queries)
    assert rows.sum(axis=0).tolist() == [3, 1]  # common, rare: one image of both
    (tmp_path / "l.csv").write_text("1.png,a\n2.png,b\n")
    with pytest.raises(InputError, match="none of which can be a query, as no class has two"):
        data.load("folder", "folder", **options)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", 'path,label\na b.png,cat\n"c,\t""d"".png",dog\ne.png, 10 \n'),
        ("l.csv", '\ufeffFile,Class\r\na b.png,cat\r\n\r\n"c,\t""d"".png",dog\r\ne.png,10\r\n'),
        ("l.TSV", 'a b.png\tcat\n"c,\t""d"".png"\tdog\ne.png\t10\n'),
    ],
)
def test_a_table_of_labels(tmp_path, name, content):
    folder = fill(tmp_path / "photos", ["a b.png", 'c,\t"d".png', "e.png", "f.png"])
    (tmp_path / name).write_bytes(content.encode())
    source = open_folder(folder, labels=str(tmp_path / name))
    assert source.class_names == ("10", "cat", "dog")
    assert source.images(np.arange(3))[:, 0, 0, 0].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(source.labels, [1, 2, 0])


def test_absolute_paths_in_a_table(tmp_path, monkeypatch):
    """Of a folder that is given as a relative path."""
    folder = fill(tmp_path / "photos", ["a.png", "b.png"])
    (tmp_path / "l.csv").write_text(f"{folder}/a.png,cat\nb.png,dog\n")
    monkeypatch.chdir(tmp_path)
    for given in ("photos", str(folder)):
        source = open_folder(given, labels="l.csv")
        assert source.class_names == ("cat", "dog")
        np.testing.assert_array_equal(source.labels, [0, 1])


def test_ids_and_several_labels_in_a_table(tmp_path):
    folder = fill(tmp_path, [f"{number}.png" for number in range(4)])
    (tmp_path / "ids.csv").write_text("0.png,10\n1.png,2\n2.png,10\n./3.png,7\n")
    source = open_folder(folder, labels=str(tmp_path / "ids.csv"))
    assert source.class_names == ("2", "7", "10")
    np.testing.assert_array_equal(source.labels, [2, 0, 2, 1])
    (tmp_path / "rows.csv").write_text("0.png,b;a\n1.png, b ; b\n2.png,\n3.png,a\n")
    source = open_folder(folder, labels=str(tmp_path / "rows.csv"))
    np.testing.assert_array_equal(source.labels, [[1, 1], [0, 1], [0, 0], [1, 0]])
    assert source.labels.dtype == np.uint8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a.png,cat\nb.png,\n", r"1 of 2 images have no label, such as b\.png \(line 2\)"),
        (
            b"a.png,cat\nx.png,dog\n",
            r"1 of 2 paths lead to no image in .*, such as x\.png \(line 2",
        ),
        (b"a.png,cat\n./a.png,dog\n", r"line 2: ./a.png given again"),
        (b"a.png\n", r"line 1: \['a.png'\] given; allowed: a path and its label"),
        (b"a.png,x,y\n", r"line 1: \['a.png', 'x', 'y'\] given"),
        (b'a.png,"cat\n', "line 1: unexpected end of data given"),
        (b"", "which is empty"),
        (b"\xff\xfe", "no text in UTF-8"),
    ],
)
def test_bad_tables_end_in_one_line(tmp_path, content, message):
    folder = fill(tmp_path / "photos", ["a.png", "b.png"])
    (tmp_path / "l.csv").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        open_folder(folder, labels=str(tmp_path / "l.csv"))
    assert str(caught.value).startswith(f"labels: {tmp_path}/l.csv")
    with pytest.raises(InputError, match=r"^labels: gone.csv given, which cannot be read"):
        open_folder(folder, labels="gone.csv")


def test_folders_that_are_none_and_other_types(tmp_path):
    with pytest.raises(InputError, match=r"^folder: gone given, but there is no file or folder"):
        open_folder("gone")
    fill(tmp_path, ["a.png", "b.png"])
    (tmp_path / "c.mov").touch()
    (tmp_path / "notes").touch()
    assert open_folder(tmp_path).notes[1] == (
        "2 files of other types are left out (1 without an ending, 1 .mov)."
    )


def test_unreadable_images_are_listed_and_left_out(tmp_path, capsys):
    fill(tmp_path, [f"{number}.png" for number in range(20)])
    (tmp_path / "5.png").write_text("no image")
    loaded = data.load("folder", "folder", folder=str(tmp_path), image_size=4)
    examined = usable.examine(loaded)
    place = [path.endswith("/5.png") for path in loaded.source.paths].index(True)
    assert list(examined.unreadable) == [place]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"jhash: {tmp_path}: 20 images without labels."
    assert lines[1].startswith(f"jhash: image {tmp_path}/5.png cannot be read: it is damaged")
    assert lines[2] == "jhash: 1 of 20 images cannot be read and are left out."
    kept = usable.without_unreadable(loaded, examined)
    for name in ("train", "database", "queries"):
        expected = [index for index in getattr(loaded, name) if index != place]
        assert getattr(kept, name).tolist() == expected


def test_a_folder_that_has_changed_is_no_longer_that_of_the_run(tmp_path):
    fill(tmp_path, [f"{number}.png" for number in range(4)])

    def load():
        return data.load("folder", "folder", folder=str(tmp_path), image_size=4)

    examined = usable.examine(load())
    assert usable.without_unreadable(load(), examined).source.digest == examined.digest
    (tmp_path / "0.png").rename(tmp_path / "new.png")
    with pytest.raises(InputError, match=r"^source: 4 images .* 4 images, with other names or lab"):
        usable.without_unreadable(load(), examined)
    draw(tmp_path / "0.png")
    with pytest.raises(InputError, match=r"^source: 5 images given, .* began: 4 images; allowed"):
        usable.without_unreadable(load(), examined)


def test_images_that_are_all_the_same(tmp_path):
    for number in range(5):
        draw(tmp_path / f"{number}.png", 7)
    loaded = data.load("folder", "folder", folder=str(tmp_path), image_size=4)
    with pytest.raises(InputError, match=r"^source: 5 images given that are all the same"):
        usable.examine(loaded)
    draw(tmp_path / "4.png", 8)
    loaded = data.load("folder", "folder", folder=str(tmp_path), image_size=4)
    assert not usable.examine(loaded).unreadable


def test_no_image_of_a_set_can_be_read(tmp_path):
    fill(tmp_path, ["train/1.png", "train/2.png", "query/3.png"])
    (tmp_path / "query/3.png").write_text("no image")
    loaded = data.load("folder", "folder", folder=str(tmp_path), image_size=4)
    with pytest.raises(InputError, match=r"^source: 1 images of the set queries .*query/3\.png"):
        usable.without_unreadable(loaded, usable.examine(loaded))
