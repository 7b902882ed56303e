"""Which files of a folder are images, and their ids."""

import os

import pytest

from jhash.data import image_files
from jhash.errors import InputError


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_ids_of_names_that_are_no_text_stay_distinct(tmp_path):
    """The bytes of one name and the text of another would become one id; one was left out."""
    (tmp_path / r"\xff.png").touch()
    open(os.path.join(os.fsencode(tmp_path), b"\xff.png"), "wb").close()
    with pytest.raises(
        InputError, match=r"would have the same id, \\xff\.png; allowed: "
    ) as caught:
        image_files.find([str(tmp_path)])
    assert str(caught.value).isprintable()


def test_an_image_that_is_given_twice(tmp_path):
    touch(tmp_path / "cat.webp")
    path = str(tmp_path / "cat.webp")
    with pytest.raises(InputError, match=f"^places: {path} given twice; allowed: each image once"):
        image_files.find([path, path])


def test_a_folder_without_images_says_what_it_has(tmp_path):
    for name in ("a.MOV", "b.mov", "c.txt", "sub/none"):
        touch(tmp_path / name)
    with pytest.raises(InputError) as caught:
        image_files.find([str(tmp_path)])
    files = "4 files that are not read (2 .mov, 1 without an ending, 1 .txt)"
    expected = f"places: {tmp_path} given, with {files}; allowed: "
    assert str(caught.value).startswith(expected)
    assert "in one of .avif .bmp" in str(caught.value)
    assert "of the formats JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF, HEIF." in str(caught.value)


def test_folders_that_cannot_be_read_are_reported(tmp_path, capsys, monkeypatch):
    touch(tmp_path / "a.png")
    touch(tmp_path / "locked\n/b.png")
    scandir = os.scandir

    def refuse(path):
        if "locked" in os.fspath(path):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # Root may read all folders.
    assert list(image_files.find([str(tmp_path)]).path_of) == ["a.png"]
    assert image_files.find([str(tmp_path)]).unread == [f"{tmp_path}/locked\n"]
    expected = f"jhash: {tmp_path}/locked\\n: Permission denied; the folder is left out.\n"
    assert capsys.readouterr().err == 2 * expected


def test_links_to_each_other_are_followed_once(tmp_path):
    touch(tmp_path / "one/a.png")
    touch(tmp_path / "two/b.png")
    (tmp_path / "one/two").symlink_to(tmp_path / "two")
    (tmp_path / "two/one").symlink_to(tmp_path / "one")
    (tmp_path / "self.png").symlink_to("self.png")
    found = image_files.find([str(tmp_path)])
    assert sorted(found.path_of) == ["one/a.png", "self.png", "two/b.png"]


def test_deeply_nested_folders_end_in_one_line(tmp_path, monkeypatch):
    def walk(*_, **__):
        raise RecursionError

    monkeypatch.setattr(os, "walk", walk)
    with pytest.raises(InputError, match="with a thousand folders in each other"):
        image_files.find([str(tmp_path)])


def test_ids_begin_at_the_folder_that_all_places_are_in(tmp_path, monkeypatch):
    for name in ("a/x.png", "a/sub/x.png", "b/x.png"):
        touch(tmp_path / name)

    def find(*places):
        return image_files.find([str(place) for place in places])

    found = find(tmp_path / "a")
    assert (found.root, found.folders) == (str(tmp_path / "a"), ["."])
    assert list(found.path_of) == ["sub/x.png", "x.png"]
    found = find(tmp_path / "b", tmp_path / "a")
    assert (found.root, found.folders) == (str(tmp_path), ["b", "a"])
    assert list(found.path_of) == ["b/x.png", "a/sub/x.png", "a/x.png"]
    found = find(tmp_path / "a/sub", tmp_path / "b/x.png")
    assert (found.root, found.folders) == (str(tmp_path), ["a/sub"])
    assert list(found.path_of) == ["a/sub/x.png", "b/x.png"]
    with pytest.raises(InputError, match=r"^places: .*/x\.png given twice"):
        find(tmp_path / "a", tmp_path / "a/sub")
    monkeypatch.chdir(tmp_path)
    found = find("b/x.png", tmp_path / "a/x.png")
    assert (found.root, found.folders) == (str(tmp_path), [])
    assert list(found.path_of) == ["b/x.png", str(tmp_path / "a/x.png")]
    assert all(os.path.exists(os.path.join(found.root, name)) for name in found.path_of)


def test_what_lies_within_a_folder():
    assert image_files.is_within("/a/b", "/a/b")
    assert image_files.is_within("/a/b/c", "/a/b")
    assert image_files.is_within("/a", "/")
    assert not image_files.is_within("/a/bc", "/a/b")
    assert not image_files.is_within("/a", "/a/b")
    assert image_files.relative_id("/a/b/c.png", "/a") == "b/c.png"
    assert image_files.relative_id("/a/b/c.png", "/a/bb") == "/a/b/c.png"
