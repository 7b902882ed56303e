"""Image files, a target per format: any pixels are right, if they are of the right shape."""

import pathlib
import random
import struct
import warnings
import zlib
from unittest import mock

import numpy as np
from PIL import Image

from jhash.data import decoding
from tests.support import hostile
from tests.support.fuzzing import mutations
from tests.support.fuzzing.target import MIB, Target

_SHAPE = (9, 7, 3)
_NAME = "x.png"
# The real limit would let every second mutant take a gigabyte. What is allowed per pixel is the
# same.
_PIXELS = 1 << 20
_GRAY, _MASK = hostile.PIXELS[..., 0], hostile.PIXELS[..., 0] > 127
_PALETTE = Image.fromarray(hostile.PIXELS).quantize(8)
_CLEAR = np.dstack([hostile.PIXELS, _GRAY])
# Files of each format: pixels, and options of Pillow.
_FILES = {
    "JPEG": [
        (hostile.PIXELS, {}),
        (_GRAY, {"exif": bytes.fromhex("49492a0008000000010012010300010000000600000000000000")}),
        (hostile.PIXELS, {"progressive": True, "restart_marker_blocks": 1}),
    ],
    "MPO": [(hostile.PIXELS, {"save_all": True, "append_images": [_PALETTE.convert("RGB")]})],
    "PNG": [(hostile.PIXELS, {}), (_CLEAR, {}), (_MASK, {}), (np.asarray(_PALETTE), {})],
    "WebP": [
        (hostile.PIXELS, {}),
        (_CLEAR, {"lossless": True}),
        (hostile.PIXELS, {"save_all": True, "append_images": [_PALETTE.convert("RGB")]}),
    ],
    "GIF": [(_GRAY, {}), (_GRAY, {"save_all": True, "append_images": [_PALETTE]})],
    "BMP": [(hostile.PIXELS, {}), (_GRAY, {}), (_CLEAR, {})],
    "TIFF": [
        (hostile.PIXELS, {}),
        (_CLEAR, {"compression": "tiff_lzw"}),
        (_GRAY, {"compression": "tiff_adobe_deflate"}),
        (_MASK, {"compression": "group4"}),
        (hostile.PIXELS, {"compression": "jpeg"}),
        (
            hostile.PIXELS,
            {"compression": "packbits", "save_all": True, "append_images": [_PALETTE]},
        ),
    ],
    "PPM": [(hostile.PIXELS, {}), (_GRAY, {}), (_MASK, {})],
    "AVIF": [(hostile.PIXELS, {}), (_CLEAR, {})],
}


def _seeds(kind):
    return [
        {_NAME: hostile.encode(pixels, kind.upper(), **options)} for pixels, options in _FILES[kind]
    ]


def _read(folder: pathlib.Path):
    path = str(folder / _NAME)
    with (
        mock.patch.object(decoding, "MAX_PIXELS", _PIXELS),
        mock.patch.object(decoding, "_pixels", decoding._Shared(_PIXELS)),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        unreadable = decoding.find_unreadable([path], [path], _SHAPE)
        image = decoding.decode_image(path, path, _SHAPE)
    # The check before training must not find less, nor other things.
    assert not unreadable, unreadable
    return image


def _same(value, expected):
    return value.dtype == np.uint8 and value.shape == expected.shape


def _repair(name: str, data: bytes) -> bytes:
    """Makes the checksums of a PNG right, as far as its chunks go."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return data
    repaired, place = [data[:8]], 8
    while len(data) - place >= 12:
        (size,) = struct.unpack_from(">I", data, place)
        end = place + 8 + size
        if end + 4 > len(data):
            break
        chunk = data[place:end]
        repaired.append(chunk + struct.pack(">I", zlib.crc32(chunk[4:])))
        place = end + 4
    return b"".join(repaired) + data[place:]


def _hostile(rng: random.Random, name: str, data: bytes) -> bytes:
    """Returns a file that declares or inflates too much, perhaps changed a little."""
    content = rng.choice([*_HOSTILE, hostile.EPS])
    return mutations.change(rng, content, [data]) if rng.random() < 0.5 else content


_HOSTILE = [*hostile.too_large().values(), hostile.bombs()["loop"], hostile.bombs()["digits"]]


def _target(kind):
    return Target(
        f"image-{kind.lower()}",
        lambda: _seeds(kind),
        _read,
        same=_same,
        mutators=(_hostile, lambda rng, name, data: mutations.change(rng, data, [])),
        repair=_repair if kind == "PNG" else None,
        quick=60,
        multiple=16,
        constant=16 * _PIXELS + 8 * MIB,
    )


# AVIF is missing in older versions of Pillow.
Image.init()
TARGETS = tuple(_target(kind) for kind in _FILES if kind.upper() in Image.SAVE)
