"""Folders against the ids of an index: what is new, gone or changed."""

import os
import time

import pytest

from jhash.data import image_changes
from jhash.errors import InputError

OLD = 1_000_000_000.0


def touch(path, modified=OLD):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (modified, modified))
    return str(path)


@pytest.fixture
def photos(tmp_path):
    for name in ("a.png", "sub/a.png", "sub/b.png"):
        touch(tmp_path / "photos" / name)
    return tmp_path / "photos"


def place(root, folders=(".",), newest=OLD):
    metadata = image_changes.as_metadata(image_changes.Place(str(root), list(folders), newest))
    return image_changes.place_of("i", metadata)


def compare(index, ids, *given):
    look = image_changes.look("i", index, [str(path) for path in given], ids)
    changes = image_changes.compare(look, ids, index.newest)
    return changes, look


IDS = ["a.png", "sub/a.png", "sub/b.png"]


def test_nothing_has_changed(photos):
    changes, look = compare(place(photos), IDS)
    assert changes == ({}, {}, [], 3)
    assert look.place == place(photos)
    assert look.moved is None


def test_new_gone_and_changed(photos):
    (photos / "a.png").unlink()
    new = touch(photos / "sub/c.png")
    changed = touch(photos / "sub/b.png", OLD + 1)
    changes, _ = compare(place(photos), IDS)
    assert changes == ({"sub/c.png": new}, {"sub/b.png": changed}, ["a.png"], 1)


def test_what_is_not_looked_at_stays(photos):
    (photos / "a.png").unlink()
    (photos / "sub/a.png").unlink()
    changes, look = compare(place(photos), [*IDS, "/elsewhere/x.png"], photos / "sub")
    assert changes == ({}, {}, ["sub/a.png"], 1)
    assert look.place == place(photos)


def test_a_folder_that_cannot_be_read_is_not_gone(photos, monkeypatch, capsys):
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    changes, _ = compare(place(photos), IDS)
    assert changes == ({}, {}, [], 1)
    assert "the folder is left out" in capsys.readouterr().err


def test_a_folder_beyond_the_root_has_absolute_ids_and_is_kept(photos, tmp_path):
    new = touch(tmp_path / "more/x.png")
    changes, look = compare(place(photos), IDS, tmp_path / "more", photos)
    assert changes == ({new: new}, {}, [], 3)
    assert look.place == place(photos, [".", str(tmp_path / "more")])
    os.unlink(new)
    touch(tmp_path / "more/y.png")
    changes, _ = compare(look.place, [*IDS, new])
    assert list(changes.new) == [str(tmp_path / "more/y.png")]
    assert changes.gone == [new]


def test_another_way_to_the_same_folder(photos, tmp_path):
    (tmp_path / "link").symlink_to(photos)
    changes, look = compare(place(photos), IDS, tmp_path / "link")
    assert changes == ({}, {}, [], 3)
    assert look.place == place(photos)
    changes, _ = compare(place(tmp_path / "link"), IDS, photos / "sub")
    assert changes == ({}, {}, [], 2)


def test_a_root_that_has_moved(photos, tmp_path):
    gone = place(tmp_path / "before")
    with pytest.raises(InputError, match=f"^places: none given; .* {tmp_path}/before, which i nam"):
        compare(gone, IDS)
    changes, look = compare(gone, IDS, photos)
    assert changes == ({}, {}, [], 3)
    assert (look.moved, look.place) == (str(tmp_path / "before"), place(photos))


def test_a_disk_that_is_not_mounted_keeps_its_images(photos, tmp_path):
    """Another folder, or a file, is one more."""
    gone = place(tmp_path / "before")
    more = touch(tmp_path / "more" / "c.png")
    changes, look = compare(gone, IDS, tmp_path / "more")
    assert changes == ({more: more}, {}, [], 0)
    assert look.moved is None
    assert look.place == place(tmp_path / "before", [".", str(tmp_path / "more")])
    changes, look = compare(gone, IDS, more)
    assert (changes.gone, look.moved, look.place) == ([], None, gone)


def test_a_folder_around_those_of_the_index_takes_their_place(photos, tmp_path):
    index = place(photos / "sub")
    changes, look = compare(index, ["a.png", "b.png"], photos)
    assert changes == ({str(photos / "a.png"): str(photos / "a.png")}, {}, [], 2)
    assert look.place == place(photos / "sub", [str(photos)])
    ids = ["a.png", "b.png", str(photos / "a.png")]
    changes, again = compare(look.place, ids)
    assert changes == ({}, {}, [], 3)
    assert again.place == look.place
    # An index that names both is looked at once.
    both = place(photos / "sub", [".", str(photos), "."])
    assert compare(both, ids)[0] == ({}, {}, [], 3)


def test_images_that_were_added_since_the_look_are_not_gone(photos):
    """Another process may have looked later, and added them first."""
    look = image_changes.look("i", place(photos), [], IDS)
    touch(photos / "late.png")
    changes = image_changes.compare(look, [*IDS, "late.png"], OLD)
    assert changes == ({}, {}, [], 3)


def test_thumbnails_of_the_server_are_no_images(photos):
    touch(photos / "photos.index")
    touch(photos / "photos.index.thumbnails" / "75" / "e5.jpg")
    own = touch(photos / "own.thumbnails" / "a.png")
    changes, _ = compare(place(photos), IDS)
    assert changes == ({"own.thumbnails/a.png": own}, {}, [], 3)


def test_an_index_that_names_no_folders(photos):
    nowhere = image_changes.place_of("i", {})
    assert nowhere == (None, [], None)
    with pytest.raises(InputError, match=r"^places: none given; allowed: folders, because i does"):
        image_changes.look("i", nowhere, [], IDS)
    with pytest.raises(InputError, match=r"^places: none given; allowed: folders, because i does"):
        image_changes.look("i", place(photos, ()), [], IDS)
    look = image_changes.look("i", nowhere, [str(photos)], IDS)
    assert look.place == (str(photos), ["."], None)
    assert image_changes.compare(look, IDS, OLD) == ({}, {}, [], 3)


def test_names_that_are_no_text(photos):
    with open(os.path.join(os.fsencode(photos), b"\xff.png"), "wb"):
        pass
    changes, _ = compare(place(photos, newest=time.time() + 9), [*IDS, r"\xff.png"])
    assert changes == ({}, {}, [], 4)


def test_ids_that_are_integers(photos):
    with pytest.raises(InputError, match=r"^index: integers as ids given; allowed: an index of im"):
        image_changes.look("i", place(photos), [], [0, 1])


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"root": 5}, "i: root: 5 given; allowed: an absolute path"),
        ({"root": "photos"}, "i: root: 'photos' given"),
        ({"root": "/a\0b"}, "i: root: "),
        ({"root": "/\ud800"}, "i: root: "),
        ({"root": "/a", "folders": ["\ud800"]}, "i: folders: "),
        ({"root": "/a", "folders": "b"}, "i: folders: 'b' given; allowed: a list of paths"),
        ({"root": "/a", "folders": [5]}, r"i: folders: \[5\] given"),
        ({"root": "/a", "newest": "now"}, "i: newest: 'now' given; allowed: seconds since 1970"),
        ({"root": "/a", "newest": float("inf")}, "i: newest: inf given"),
        ({"root": "/a", "newest": True}, "i: newest: True given"),
    ],
)
def test_metadata_of_somebody_else(metadata, message):
    with pytest.raises(InputError, match=f"^{message}"):
        image_changes.place_of("i", metadata)


def test_the_time_of_the_latest_change(tmp_path):
    files = [touch(tmp_path / "a.png"), touch(tmp_path / "b.png", OLD + 5), str(tmp_path / "gone")]
    assert image_changes.newest(files) == OLD + 5
    before = time.time()
    # A file of tomorrow would hide all changes until then.
    assert before <= image_changes.newest([touch(tmp_path / "c.png", before + 9e4)]) <= time.time()


def test_ids_that_begin_at_another_root():
    assert image_changes.moved(["x.png", "/b/y.png"], "/a/sub", "/a") == ["sub/x.png", "/b/y.png"]
    assert image_changes.moved(["x.png", "/a/y.png"], "/b", "/a") == ["/b/x.png", "y.png"]
