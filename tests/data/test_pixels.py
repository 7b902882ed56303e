"""Pictures in files that Pillow writes here come out as programs show them."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from jhash.data import decoding, pixels
from jhash.data.pixels import SHOWN, STORED, Reading

# Smooth, so that lossy formats change little; no two corners are alike.
ROWS, COLUMNS = np.mgrid[0:24, 0:32]
PICTURE = np.stack([8 * COLUMNS, 10 * ROWS, 200 - 3 * (ROWS + COLUMNS)], axis=2).astype(np.uint8)
SHAPE = PICTURE.shape
TURNABLE = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
SAVED = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}, "AVIF": {}}


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **SAVED.get(kind, {}), **options)
    return file.getvalue()


def decode(content, reading=SHOWN, shape=SHAPE):
    decoded = decoding.decode_image(content, "x", shape, reading)
    assert decoding.find_unreadable([content], ["x"], shape) == []
    return decoded.astype(int)


def assert_near(decoded, expected, most=12):
    assert np.abs(decoded - np.asarray(expected, int)).max() <= most


def oriented(kind, orientation):
    """A file that is stored turned, so that programs show PICTURE."""
    back = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(pixels.upright(Image.fromarray(PICTURE), back), kind, exif=exif)


@pytest.mark.parametrize("kind", TURNABLE)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_exif_says(kind, orientation):
    content = oriented(kind, orientation)
    # Pillow's own function is the reference.
    reference = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    np.testing.assert_array_equal(decode(content), reference)
    assert_near(decode(content), PICTURE)


def test_without_as_shown_pixels_stay_as_they_are_stored():
    content = oriented("JPEG", 6)
    stored = np.asarray(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(decode(content, STORED, stored.shape), stored)
    assert decoding.is_turned(content, "x")
    assert not decoding.is_turned(oriented("JPEG", 1), "x")
    rgba = Image.fromarray(np.dstack([PICTURE, np.zeros_like(PICTURE[..., 0])]))
    np.testing.assert_array_equal(decode(encode(rgba, "PNG"), STORED), PICTURE)


def test_damaged_exif_turns_nothing():
    content = encode(Image.fromarray(PICTURE), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff")
    assert_near(decode(content), PICTURE)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white(mode):
    alpha = np.where(COLUMNS < 16, 0, 255).astype(np.uint8)
    image = Image.fromarray(np.dstack([np.full_like(PICTURE, 64), alpha]))
    if mode == "P":
        image = Image.fromarray((alpha > 0).astype(np.uint8), "P")
        image.putpalette([9, 9, 9, 64, 64, 64])
        content = encode(image, "PNG", transparency=0)
    else:
        content = encode(image.convert(mode), "PNG")
    expected = np.where(COLUMNS < 16, 255, 64)[..., None]
    assert_near(decode(content), expected, 0)
    assert_near(decode(content, shape=(*SHAPE[:2], 1)), expected, 0)


def test_half_transparency_is_mixed_with_white():
    image = Image.fromarray(np.full((*SHAPE[:2], 4), (0, 0, 0, 128), np.uint8))
    assert_near(decode(encode(image, "WEBP")), np.full(SHAPE, 127), 1)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("PNG", np.uint16), ("TIFF", np.uint16), ("TIFF", ">u2"), ("PPM", np.uint16)],
)
def test_gray_of_16_bits_is_scaled(kind, dtype):
    gray = PICTURE[..., 0]
    wide = Image.fromarray((gray.astype(np.uint16) * 257).astype(dtype))
    content = encode(wide, kind)
    for reading in (STORED, SHOWN):
        np.testing.assert_array_equal(decode(content, reading, (*gray.shape, 1))[..., 0], gray)
        np.testing.assert_array_equal(decode(content, reading)[..., 1], gray)


def test_cmyk_and_color_palettes():
    cmyk = Image.fromarray(PICTURE).convert("CMYK")
    assert_near(decode(encode(cmyk, "JPEG")), PICTURE)
    assert_near(decode(encode(cmyk, "TIFF")), PICTURE, 1)
    palette = Image.fromarray(PICTURE).quantize(256)
    np.testing.assert_array_equal(decode(encode(palette, "PNG")), palette.convert("RGB"))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_first_frame_of_an_animation(kind):
    frames = [Image.fromarray(np.full(SHAPE, value, np.uint8)) for value in (40, 120, 200)]
    content = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert Image.open(io.BytesIO(content)).n_frames == 3
    assert_near(decode(content), np.full(SHAPE, 40), 4)


def test_heic_is_read_with_the_extra_and_named_without(monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.fromarray(PICTURE).transpose(Image.Transpose.ROTATE_90)
    heif.from_pillow(stored).save(file, quality=-1, exif=exif.tobytes())
    assert_near(decode(file.getvalue()), PICTURE)
    monkeypatch.setattr(decoding, "_formats", lambda: ("JPEG", "PNG"))
    with pytest.raises(decoding.InputError, match=r"is HEIC, which needs pip install 'jhash\[heic"):
        decode(file.getvalue())


def test_stretch_crop_and_pad():
    """A white square in a black image of 20 x 40, which is brought to 10 x 10."""
    image = np.zeros((20, 40, 3), np.uint8)
    image[4:16, 12:24] = 255
    content = encode(Image.fromarray(image), "PNG")
    stretched, cropped, padded = (
        decode(content, Reading(resize), (10, 10, 3))[..., 0] for resize in pixels.RESIZES
    )
    # Its sides are halved, halved and quartered, and quartered.
    assert [(shown > 127).sum() for shown in (cropped, stretched, padded)] == [36, 18, 9]
    assert (padded[[0, 1, 8, 9]] == pixels.BAR).all()
    high = decode(content, Reading("pad"), (40, 10, 1))
    assert (high[:, 0, 0] == pixels.BAR).sum() == 35
    exact = decode(content, Reading("crop"), (20, 20, 3))
    np.testing.assert_array_equal(exact, image[:, 10:30])
    for resize in pixels.RESIZES:
        np.testing.assert_array_equal(decode(content, Reading(resize), image.shape), image)


def test_an_image_in_memory_is_fitted_like_its_file():
    content = encode(Image.fromarray(PICTURE), "PNG")
    for resize in pixels.RESIZES:
        reading = Reading(resize, as_shown=True)
        fitted = decoding.fit_image(PICTURE, (9, 9, 3), reading)
        np.testing.assert_array_equal(fitted, decode(content, reading, (9, 9, 3)))


def test_a_large_jpeg_is_decoded_at_a_reduced_scale(monkeypatch):
    large = Image.fromarray(PICTURE).resize((1024, 768), Image.Resampling.BICUBIC)
    content = encode(large, "JPEG")
    sizes = []
    to_array = pixels.to_array

    def record(image, *arguments):
        sizes.append(image.size)
        return to_array(image, *arguments)

    monkeypatch.setattr(pixels, "to_array", record)
    reduced, whole = decode(content), decode(content, STORED)
    # The longer side of the array is 32, and twice that is left at least.
    assert sizes == [(128, 96), (1024, 768)]
    assert_near(reduced, whole, 3)


def test_thumbnails_are_turned_and_on_white():
    thumbnail = decoding.thumbnail(oriented("JPEG", 6), "x", 16)
    assert thumbnail.shape == (12, 16, 3)
    assert thumbnail[0, -1, 0] > 200 > 100 > thumbnail[0, 0, 0]
