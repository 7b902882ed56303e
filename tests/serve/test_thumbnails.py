"""Thumbnails are made once, and again when their image changes."""

import io
import os
from concurrent import futures

import numpy as np
import pytest
from PIL import Image

from jhash.serve import thumbnails
from jhash.serve.thumbnails import Thumbnails


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.full((300, 1200, 3), (200, 30, 30), np.uint8)).save(path)
    return str(path)


def test_made_once_by_many_threads(tmp_path, photo, monkeypatch):
    made = []
    jpeg = thumbnails.jpeg
    monkeypatch.setattr(thumbnails, "jpeg", lambda *given: made.append(given) or jpeg(*given))
    kept = Thumbnails(str(tmp_path / "i.index"))
    with futures.ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: kept.get("a/b.png", photo), range(20)))
    assert len(made) == 1
    assert sorted(is_new for _, is_new in got) == [False] * 19 + [True]
    assert len({content for content, _ in got}) == 1
    with Image.open(io.BytesIO(got[0][0])) as image:
        assert (image.format, image.size) == ("JPEG", (thumbnails.SIDE, thumbnails.SIDE // 4))
    assert Thumbnails(str(tmp_path / "i.index")).get("a/b.png", photo)[1] is False
    assert os.stat(kept.folder).st_mode & 0o077 == 0
    assert not kept._busy


def test_made_again_for_another_image(tmp_path, photo):
    kept = Thumbnails(str(tmp_path / "i.index"))
    before = kept.get("a", photo)[0]
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(photo)
    os.utime(photo, (1e9, 1e9))
    after, is_new = kept.get("a", photo)
    assert is_new
    assert after != before
    assert kept.get("a", photo) == (after, False)


def test_those_of_images_that_are_gone_are_removed(tmp_path, photo):
    kept = Thumbnails(str(tmp_path / "i.index"))
    assert kept.forget_others(["a"]) == 0
    for name in ("a", "b", "c"):
        kept.get(name, photo)
    other = os.path.join(kept.folder, "notes.txt")
    with open(other, "w") as file:
        file.write("mine")
    assert kept.forget_others(["b", "never seen"]) == 2
    assert [kept.get(name, photo)[1] for name in ("a", "b", "c")] == [True, False, True]
    assert os.path.exists(other)


def test_a_folder_that_cannot_be_written(tmp_path, photo, capsys):
    (tmp_path / "i.index.thumbnails").write_text("a file")
    kept = Thumbnails(str(tmp_path / "i.index"))
    assert kept.get("a", photo)[1] is True
    assert kept.get("a", photo)[1] is True
    err = capsys.readouterr().err
    assert err.count("thumbnails cannot be kept") == 1
