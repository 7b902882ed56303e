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
    for name in ("a.HEIC", "b.heic", "c.txt", "sub/none"):
        touch(tmp_path / name)
    with pytest.raises(InputError) as caught:
        image_files.find([str(tmp_path)])
    expected = f"places: {tmp_path} given, with 4 files that are not read (2 .heic, 1 "
    assert str(caught.value).startswith(expected)
    assert "in one of .avif .bmp" in str(caught.value)
    assert "of the formats JPEG, PNG, WebP, GIF, BMP, TIFF, PPM, AVIF." in str(caught.value)


def test_folders_that_cannot_be_read_are_reported(tmp_path, capsys, monkeypatch):
    touch(tmp_path / "a.png")
    touch(tmp_path / "locked\n/b.png")
    scandir = os.scandir

    def refuse(path):
        if "locked" in os.fspath(path):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # Root may read all folders.
    assert list(image_files.find([str(tmp_path)])) == ["a.png"]
    expected = f"jhash: {tmp_path}/locked\\n: Permission denied; the folder is left out.\n"
    assert capsys.readouterr().err == expected


def test_links_to_each_other_are_followed_once(tmp_path):
    touch(tmp_path / "one/a.png")
    touch(tmp_path / "two/b.png")
    (tmp_path / "one/two").symlink_to(tmp_path / "two")
    (tmp_path / "two/one").symlink_to(tmp_path / "one")
    (tmp_path / "self.png").symlink_to("self.png")
    found = image_files.find([str(tmp_path)])
    assert sorted(found) == ["one/a.png", "self.png", "two/b.png"]


def test_deeply_nested_folders_end_in_one_line(tmp_path, monkeypatch):
    def walk(*_, **__):
        raise RecursionError

    monkeypatch.setattr(os, "walk", walk)
    with pytest.raises(InputError, match="with a thousand folders in each other"):
        image_files.find([str(tmp_path)])
