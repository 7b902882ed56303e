"""From a decoded image to pixels of one shape: orientation, transparency, colors, size."""

import contextlib
import math
from typing import NamedTuple

import numpy as np
from PIL import Image

RESIZES = ("stretch", "crop", "pad")
CHANNELS = {1: "L", 3: "RGB"}  # Pillow's modes by number of channels.
# The gray of the bars of "pad", which EfficientNet-Lite0's preprocessing makes 0.
BAR = 127

_WHITE = 255
_ORIENTATION = 0x0112  # A field of EXIF.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Of these formats, Pillow's mode of 32 bits holds 16 of them.
_16_BITS = ("PNG", "PPM")


class Reading(NamedTuple):
    """The rules by which the pixels of an image file become those of an array.

    Attributes:
      resize: The way to the aspect ratio of the array. "stretch" ignores that of the image, as the
        loaders of HashNet and DeepHash do. "crop" leaves out the ends of the longer side. "pad"
        adds bars of gray at the ends of the shorter side.
      as_shown: Whether the image is turned as its EXIF orientation says and transparency becomes
        white, as programs show it, and a large JPEG is decoded at a reduced scale. False takes the
        pixels as they are stored, and drops transparency. (Pillow turns TIFF files in either case.)
    """

    resize: str = "stretch"
    as_shown: bool = False


STORED = Reading()
SHOWN = Reading(as_shown=True)


def is_gray_of_16_bits(image: Image.Image) -> bool:
    """Tells if an image, decoded or not, has gray values of 16 bits."""
    wide = image.mode.startswith("I;16")
    return wide or (image.mode == "I" and image.format in _16_BITS)


def reduce_scale(image: Image.Image, image_shape: tuple[int, int, int], scale: int) -> None:
    """Has a JPEG whose pixels are not decoded yet be decoded at a half, a fourth or an eighth.

    Args:
      image: The image; nothing happens to other formats.
      image_shape: (height, width, channels) of the array to come.
      scale: The reduced image has at least so many times the sides of the array.
    """
    height, width, _ = image_shape
    # The orientation may exchange the sides.
    side = scale * max(height, width)
    image.draft(image.mode, (side, side))


def to_array(
    image: Image.Image, image_shape: tuple[int, int, int], reading: Reading = STORED
) -> np.ndarray:
    """Converts and resizes an image whose pixels are decoded.

    Resizing is bilinear, with Pillow's antialiasing.

    Args:
      image: The image.
      image_shape: (height, width, channels); 1 channel converts to gray, 3 to RGB.
      reading: The rules.

    Returns:
      uint8 [height, width, channels].
    """
    height, width, channels = image_shape
    image = to_mode(image, CHANNELS[channels], reading.as_shown)
    return np.asarray(_resized(image, (width, height), reading.resize)).reshape(image_shape)


def to_mode(image: Image.Image, mode: str, as_shown: bool) -> Image.Image:
    """Converts an image whose pixels are decoded to gray ("L") or RGB; see `Reading`.

    Gray values of 16 bits are cut to their upper 8, as Pillow does with colors of 16 bits.
    """
    if is_gray_of_16_bits(image):
        values = np.clip(np.asarray(image), 0, 65535) >> 8
        narrow = Image.fromarray(values.astype(np.uint8))
        image = upright(narrow, orientation(image)) if as_shown else narrow
    elif as_shown:
        image = _on_white(upright(image, orientation(image)))
    return image if image.mode == mode else image.convert(mode)


def orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation of an image, 1 to 8; 1 if it has none or damaged data."""
    # Damaged metadata say nothing of the pixels, which can be read all the same.
    with contextlib.suppress(Exception):
        value = image.getexif().get(_ORIENTATION, 1)
        return value if value in _TURNS else 1
    return 1


def upright(image: Image.Image, turn: int) -> Image.Image:
    """Turns an image as an EXIF orientation says."""
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def _on_white(image: Image.Image) -> Image.Image:
    """Puts an image with transparency on white; others stay as they are."""
    if not image.has_transparency_data:
        return image
    if image.mode != "RGBA":
        image = image.convert("RGBA")
    background = Image.new("RGB", image.size, (_WHITE,) * 3)
    background.paste(image, mask=image)
    return background


def _resized(image: Image.Image, size: tuple[int, int], resize: str) -> Image.Image:
    """Resizes a gray or RGB image to (width, height)."""
    if image.size == size:
        return image
    if resize == "pad":
        return _padded(image, size)
    box = _middle(image.size, size) if resize == "crop" else None
    return image.resize(size, Image.Resampling.BILINEAR, box)


def _middle(given: tuple[int, int], wanted: tuple[int, int]) -> tuple[float, float, float, float]:
    """Returns the largest box (left, top, right, bottom) in the middle of the wanted aspect."""
    scale = min(given[0] / wanted[0], given[1] / wanted[1])
    width, height = scale * wanted[0], scale * wanted[1]
    left, top = (given[0] - width) / 2, (given[1] - height) / 2
    # Rounding must not lead beyond the image.
    return max(left, 0), max(top, 0), min(left + width, given[0]), min(top + height, given[1])


def _padded(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Fits an image into (width, height), between two bars of gray."""
    scale = min(size[0] / image.size[0], size[1] / image.size[1])
    inner = tuple(
        min(wanted, max(1, math.floor(scale * given + 0.5)))
        for given, wanted in zip(image.size, size, strict=True)
    )
    padded = Image.new(image.mode, size, BAR if image.mode == "L" else (BAR,) * 3)
    if inner != image.size:
        image = image.resize(inner, Image.Resampling.BILINEAR)
    padded.paste(image, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
    return padded
