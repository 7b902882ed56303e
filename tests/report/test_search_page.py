"""The page of a search: pictures within it, names as text."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from jhash.report import search_page
from jhash.report.search_page import Answer, Hit, Shown


@pytest.fixture
def picture(tmp_path):
    def make(name, width, height, color):
        path = str(tmp_path / name)
        Image.fromarray(np.full((height, width, 3), color, np.uint8)).save(path)
        return Shown(name, path)

    return make


def write(tmp_path, answers):
    path = tmp_path / "found.html"
    search_page.write(str(path), "photos.index", answers)
    return path.read_text()


def test_pictures_of_queries_and_results_in_their_order(tmp_path, picture):
    query = picture("q.png", 500, 250, (200, 0, 0))
    found = [
        Hit(0, picture("b.png", 20, 10, (0, 200, 0)), same=True),
        Hit(3, picture("c.jpg", 9, 9, (0, 0, 200))),
    ]
    page = write(tmp_path, [Answer(query, found)])
    contents = re.findall('src="data:image/jpeg;base64,([^"]+)"', page)
    images = [Image.open(io.BytesIO(base64.b64decode(content))) for content in contents]
    assert [image.size for image in images] == [(240, 120), (20, 10), (9, 9)]
    assert [np.asarray(image)[1, 1].argmax() for image in images] == [0, 1, 2]
    assert "<b>1</b>, d 0, <b>same picture</b><br>b.png" in page
    assert "<b>2</b>, d 3<br>c.jpg" in page
    assert 'alt="q.png"' in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "<script" not in page


def test_names_are_text(tmp_path):
    name = '<script>alert("1")</script>&\u202e\n.png'
    page = write(tmp_path, [Answer(Shown(name, None), [Hit(1, Shown(name, None))])])
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;\\u202e\\n.png") == 2


def test_what_cannot_be_shown_says_why(tmp_path, picture):
    (tmp_path / "bad.png").write_text("no image")
    gone = Shown("gone.png", str(tmp_path / "gone.png"))
    bad = Shown("bad.png", str(tmp_path / "bad.png"))
    query = picture("q.png", 9, 9, 5)
    answers = [
        Answer(query, [Hit(1, gone), Hit(2, bad), Hit(2, Shown("7", None))]),
        Answer(query, []),
        Answer(bad, [], "image bad.png cannot be read"),
    ]
    page = write(tmp_path, answers)
    assert "image gone.png cannot be read: No such file" in page
    assert "image bad.png cannot be read: it is damaged" in page
    assert "no picture: the index does not say where its images are" in page
    assert page.count("Nothing is that near.") == 1
    assert page.count("image bad.png cannot be read") == 2
