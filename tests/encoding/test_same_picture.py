"""Crops and copies are the same picture; mirrored, recolored and other ones are not."""

import io

import numpy as np
import pytest
from PIL import Image

from jhash.encoding import same_picture
from jhash.encoding.same_picture import Picture, difference
from tests.support.textures import texture

WHOLE = texture(0)


def compared(one, other):
    """The difference, which does not depend on the order."""
    found = difference(Picture(one), Picture(other))
    assert difference(Picture(other), Picture(one)) == found
    return found


def resized(pixels, width, height):
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX))


def as_jpeg(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file))


def test_a_picture_is_itself():
    assert compared(WHOLE, WHOLE) == 0


@pytest.mark.parametrize(
    ("top", "left", "height", "width"),
    [(0, 0, 190, 285), (31, 57, 101, 183), (97, 10, 103, 144), (5, 203, 190, 97), (60, 0, 80, 300)],
)
def test_crops(top, left, height, width):
    crop = WHOLE[top : top + height, left : left + width]
    exact = compared(WHOLE, crop)
    assert exact < 1.5
    # Enlarged, or of lower quality, it still is one.
    assert compared(WHOLE, resized(crop, 2 * width, 2 * height)) < 1.5
    assert compared(WHOLE, as_jpeg(crop, 85)) < same_picture.MAX_DIFFERENCE


def test_copies_of_other_sizes():
    assert compared(WHOLE, resized(WHOLE, 150, 100)) < 1.5
    assert compared(texture(0, 900, 600), resized(texture(0, 900, 600), 120, 80)) < 1.5


def test_what_is_another_picture():
    darker = (WHOLE * 0.8).astype(np.uint8)
    other = {
        "mirrored": WHOLE[:, ::-1],
        "turned": np.rot90(WHOLE).copy(),
        "darker": darker,
        "stretched": resized(WHOLE, 200, 200),
        "gray": np.repeat(WHOLE.mean(2, keepdims=True), 3, 2).astype(np.uint8),
        "a mirrored crop": WHOLE[20:180, 20:250][:, ::-1],
        "a half beside the other": WHOLE[:, 150:],
    }
    one = {"a half beside the other": WHOLE[:, :150]}
    for name, pixels in other.items():
        assert compared(one.get(name, WHOLE), np.ascontiguousarray(pixels)) is None, name
    assert all(compared(WHOLE, texture(seed)) is None for seed in range(1, 21))


def test_dark_pictures_that_differ_little_are_not_the_same():
    dark = [texture(seed) // 40 for seed in range(2)]
    assert np.abs(dark[0].astype(int) - dark[1]).mean() < same_picture.MAX_DIFFERENCE
    brightened = [pixels.copy() for pixels in dark]
    for pixels, place in zip(brightened, (40, 200), strict=True):
        pixels[60:80, place : place + 20] = 90
    assert Picture(brightened[0]).is_usable
    assert compared(*brightened) is None
    assert compared(brightened[0], brightened[0]) == 0


def test_pictures_in_which_no_place_can_be_found():
    flat = np.full((100, 100, 3), 200, np.uint8)
    small = WHOLE[: same_picture.MIN_SIDE - 1]
    for pixels in (flat, small, WHOLE[:1, :1]):
        assert not Picture(pixels).is_usable
        assert compared(pixels, pixels) is None
        assert compared(pixels, WHOLE) is None


def test_very_different_aspect_ratios():
    strip = WHOLE[80:110]
    assert compared(strip, np.ascontiguousarray(np.swapaxes(strip, 0, 1))) is None
    assert compared(strip, strip) == 0
