"""The section about reconstructed images."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from jhash.report import reconstruction
from jhash.runs import finished
from tests.support.report import RECONSTRUCTION, Page, copy_run, decode, write_page

pytestmark = pytest.mark.usefixtures("quick_compilation")


def reconstruction_file(count=12, shape=(8, 8, 1)):
    """Equal images but for one pixel of the first, and all of the third; the second is lost."""
    rng = np.random.default_rng(5)
    original = rng.integers(10, 240, (count, *shape), dtype=np.uint8)
    reconstructed = original.copy()
    reconstructed[0, 2, 3] += 5
    reconstructed[1] = 0
    reconstructed[2] -= 2
    return {
        "original": original,
        "reconstructed": reconstructed,
        "in_range": np.arange(count) != 1,
        "ids": np.arange(200, 200 + count),
        "labels": np.arange(count) % 4,
    }


def with_reconstruction(trained, folder, saved, **results):
    run = copy_run(trained, folder, reconstruction=RECONSTRUCTION | results)
    np.savez(run / "reconstruction.npz", **saved)
    return run


def section(folder, *workdirs):
    """The section alone, which takes less time than the page."""
    path = folder / "section.html"
    path.write_text(
        reconstruction.section(finished.read_all([str(workdir) for workdir in workdirs]))
    )
    return Page(path)


def shown(page, alt):
    [uri] = [image["src"] for image in page.images if image["alt"] == alt]
    return np.asarray(Image.open(io.BytesIO(decode(uri, "png"))))


@pytest.mark.slow
def test_reconstructed_images_and_their_differences(trained, tmp_path):
    saved = reconstruction_file()
    page = write_page(tmp_path, with_reconstruction(trained, tmp_path / "inverted", saved))
    assert not page.warnings
    assert page.text.count("<h2>Reconstruction</h2>") == 1
    for words in (
        "9 of 12 images come back with every byte the same",
        "The largest difference is 5.25 gray levels",
        "multiples of 2^-14",
        "1 of 12 images left the range",
    ):
        assert words in page.text
    assert page.row("original") == [""] * 10
    assert page.row("reconstructed") == ["", "out of range"] + [""] * 8
    assert page.row("difference (white: 5)") == ["", "–"] + [""] * 8
    [head] = [row for row in page.rows if "image 200class 0" in row]
    assert head == ["", *(f"image {200 + n}class {n % 4}" for n in range(10))]
    words = {
        0: "1 of 64 bytes differ, by up to 5",
        2: "64 of 64 bytes differ, by up to 2",
        9: "every byte equal",
    }
    difference = np.zeros((12, 8, 8, 1), int)
    difference[0, 2, 3], difference[2] = 255, 102
    for n, said in words.items():
        for what, expected in (
            ("original", saved["original"]),
            (f"reconstructed, {said}", saved["reconstructed"]),
            (f"difference, {said}", difference),
        ):
            pixels = shown(page, f"image {200 + n}, class {n % 4}: {what}")
            np.testing.assert_array_equal(pixels, expected[n, ..., 0])


def test_only_runs_with_an_inverse_have_the_section(trained, tmp_path):
    run = with_reconstruction(trained, tmp_path / "inverted", reconstruction_file())
    page = section(tmp_path, trained, run)
    assert re.findall("<h3>(.*?)</h3>", page.text) == ["inverted"]
    assert not section(tmp_path, trained).text


def test_a_lone_pixel_is_seen_in_a_large_difference(trained, tmp_path):
    saved = reconstruction_file(3, (300, 270, 3))
    saved["reconstructed"][2] = saved["original"][2]
    saved["labels"] = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0]], np.uint8)
    page = section(tmp_path, with_reconstruction(trained, tmp_path / "large", saved))
    said = "3 of 243,000 bytes differ, by up to 5"
    pixels = shown(page, f"image 200, class 1 2: difference, {said}")
    expected = np.zeros((100, 90, 3))
    expected[0, 1] = 255
    np.testing.assert_array_equal(pixels, expected)
    assert not shown(page, "image 202, no class: difference, every byte equal").any()


def test_a_reconstruction_without_numbers_or_difference(trained, tmp_path):
    saved = reconstruction_file()
    saved["reconstructed"] = saved["original"]
    results = {"largest_difference": None, "lattice": None, "out_of_range_images": 0}
    page = section(tmp_path, with_reconstruction(trained, tmp_path / "same", saved, **results))
    assert page.row("difference (none)")
    for words in ("The largest difference is", "2^-", "left the range"):
        assert words not in page.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "cannot be read .*No such file"),
        (b"PK", "the file is no NumPy archive"),
        ({"original": np.zeros((12, 8, 8), np.uint8)}, r"it holds original uint8\[12, 8, 8\], "),
        ({"reconstructed": np.zeros((12, 8, 8, 1))}, r"reconstructed float64\[12, 8, 8, 1\]"),
        ({"in_range": np.ones(11, bool)}, r"in_range bool\[11\]"),
        ({"ids": np.full(12, "a")}, r"ids <U1\[12\]"),
        ({"labels": np.array(3)}, r"labels int64\[\]"),
        ({"original": np.zeros((12, 8, 8, 5), np.uint8)}, r"original uint8\[12, 8, 8, 5\]"),
        ({"labels": np.full(12, None)}, r"labels: Python objects \(pickle\) given"),
    ],
)
def test_a_damaged_reconstruction_is_named(trained, tmp_path, change, message):
    saved = reconstruction_file() | (change if isinstance(change, dict) else {})
    run = with_reconstruction(trained, tmp_path / "lost", saved)
    if change is None:
        (run / "reconstruction.npz").unlink()
    elif isinstance(change, bytes):
        (run / "reconstruction.npz").write_bytes(change)
    page = section(tmp_path, run)
    [warning] = page.warnings
    assert warning.startswith("⚠ No reconstruction of lost: ")
    assert re.search(f"reconstruction\\.npz.*{message}", warning)
    assert "9 of 12 images" in page.text
