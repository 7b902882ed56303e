"""The page as a file: it needs nothing else, is reproducible, and can do without images."""

import itertools
import os
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from tests.support.report import copy_run, decode, write_page

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_the_file_needs_nothing_else(page):
    assert len(page.images) > 100
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "srcset", "data", "action", "poster", "background"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, name)
        assert not any(name.startswith("on") for name in attributes)
        assert "url(" not in (attributes.get("style") or "")
    style = re.search("<style>(.*?)</style>", page.text, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    svgs = 0
    for attributes in page.images:
        assert attributes["alt"].strip()
        if attributes["src"].startswith("data:image/svg+xml"):
            svgs += 1
            svg = decode(attributes["src"], "svg+xml")
            for element in ElementTree.fromstring(svg).iter():
                assert not element.tag.endswith(("script", "image", "foreignObject"))
                for name, value in element.attrib.items():
                    if name.endswith("href"):
                        assert value.startswith("#")
                    for target in re.findall(r"url\((.*?)\)", value):
                        assert target.startswith("#")
    assert svgs > 10
    assert len(page.text) < 2e6


def test_headings_and_tables_can_be_read_aloud(page):
    names = [tag for tag, _ in page.tags]
    assert names.count("main") == names.count("h1") == 1
    levels = [int(tag[1]) for tag in names if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert names.count("table") == names.count("caption") > 2
    assert names.count("details") == names.count("summary") > 2
    assert not any("open" in attributes for tag, attributes in page.tags if tag == "details")


def test_numbers_and_images_come_first(page):
    body = page.text.partition("<h1>")[2]
    places = [body.index(part) for part in ('class="numbers"', 'class="row"', "svg+xml", "<table")]
    assert places == sorted(places)
    assert "<dt>MAP</dt>" in body[: places[1]]


def test_same_runs_same_bytes(trained, page, tmp_path):
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": "another"}):
        assert write_page(tmp_path, trained).text == page.text
        assert matplotlib.rcParams["font.size"] == 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "codes", "message"),
    [
        (
            {"data.source": "tests.support.tiny.no_source"},
            {},
            "No images of lost: the data cannot be read: .*no",
        ),
        ({}, {"queries": {"labels": np.zeros(40, np.int32)}}, "other labels now"),
        ({}, {"queries": {"ids": np.arange(1000, 1040)}}, "cannot be read: index 1000"),
    ],
)
def test_without_images_the_rest_is_written(trained, tmp_path, config, codes, message):
    page = write_page(tmp_path, copy_run(trained, tmp_path / "lost", codes, config))
    assert re.search(message, page.warnings[-1])
    assert not page.grids
    assert len(page.row("map")) == 2
    assert sum(image["src"].startswith("data:image/svg") for image in page.images) > 5


def test_names_that_are_no_text_are_shown_harmlessly(trained, tmp_path):
    """Such a name ended in a UnicodeEncodeError."""
    name = os.fsdecode(b"\xff\n\x1b[2J<b>")
    page = write_page(
        tmp_path, copy_run(trained, tmp_path / name), copy_run(trained, tmp_path / "b")
    )
    assert r"<h1>jhash report: \udcff\n\x1b[2J&lt;b&gt;, b</h1>" in page.text
    assert "\x1b" not in page.text
    for image in page.images:
        if image["src"].startswith("data:image/svg"):  # XML has no such characters.
            ElementTree.fromstring(decode(image["src"], "svg+xml"))


def test_names_are_escaped(trained, tmp_path):
    name = '_<b>&"$x^'
    page = write_page(
        tmp_path, copy_run(trained, tmp_path / name), copy_run(trained, tmp_path / "b")
    )
    assert page.row("") == [name, "b"]
    assert not any(tag == "b" and attributes for tag, attributes in page.tags)
    svg = next(
        decode(image["src"], "svg+xml").decode()
        for image in page.images
        if image["alt"].startswith("Precision-recall")
    )
    texts = ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter()]
    assert name in texts
