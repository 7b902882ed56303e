"""Image files made to do harm, and the formats that are allowed."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


def encode(pixels: np.ndarray, kind: str, **options) -> bytes:
    """Encodes an image, uint8 [H, W] or [H, W, 3], by Pillow."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Returns a gray PNG by the words of its specification; chunks are (type, content)."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pieces = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in pieces
    )


def tiff(width: int, height: int, *more: tuple[int, int, int, int], data: bytes = b"") -> bytes:
    """Returns a gray TIFF of one strip whose directory says that it is followed by itself.

    Args:
      width: Number of pixels in a row.
      height: Number of rows.
      *more: Further entries (tag, type, count, value or offset).
      data: What follows the pixels.
    """
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1)]
    entries += [(262, 3, 1, 1), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 9), *more]
    start = 8 + 2 + 12 * (len(entries) + 1) + 4
    entries = sorted([*entries, (273, 4, 1, start)])
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", 8) + bytes(9) + data


def _gif(width: int, height: int, frames: int = 1) -> bytes:
    whole = encode(PIXELS[..., 0], "GIF")
    start = whole.index(b",", 13)
    header = whole[:6] + struct.pack("<HH", width, height) + whole[10:start]
    return header + whole[start:-1] * frames + b";"


def _jpeg(width: int, height: int, **options) -> bytes:
    content = bytearray(encode(PIXELS, "JPEG", **options))
    place = content.index(b"\xff\xc2" if options else b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def too_large() -> dict[str, bytes]:
    """Images of a few bytes that declare 50,000 x 50,000 pixels, or as many as the format can."""
    side, extended = 50_000, struct.pack("<I", 10) + bytes(4) + (49_999).to_bytes(3, "little") * 2
    return {
        "png": png(side, side, b""),
        "gif": _gif(side, side),
        "tiff": tiff(side, side),
        "webp": b"RIFF" + struct.pack("<I", 40) + b"WEBPVP8X" + extended + bytes(20),
        "bmp": b"BM"
        + struct.pack("<IIIIiiHHII", 99, 0, 54, 40, side, side, 1, 24, 0, 0)
        + bytes(99),
        "ppm": b"P6\n50000 50000\n255\n" + bytes(99),
        "jpeg": _jpeg(65_500, 65_500),
        "narrow": png(1, 10**8, b""),  # Its rows would be resized first, to the width of the run.
        "turned": tiff(10**8, 1, (274, 3, 1, 6)),
    }


def bombs() -> dict[str, bytes]:
    """Small images that a careless reader inflates, follows or counts without an end."""
    inflated = zlib.compress(bytes(100 << 20), 9)
    return {
        "zTXt": png(7, 9, bytes(8 * 9), (b"zTXt", b"k\0\0" + inflated)),
        "iTXt": png(7, 9, bytes(8 * 9), (b"iTXt", b"k\0\1\0\0\0" + inflated)),
        "iCCP": png(7, 9, bytes(8 * 9), (b"iCCP", b"k\0\0" + inflated)),
        "IDAT": png(7, 9, bytes(100 << 20)),
        "frames": _gif(7, 9, 20_000),
        "loop": tiff(3, 3),
        "overlap": tiff(
            3, 3, *((t, 7, 10**5, 8) for t in range(30_000, 32_000)), data=bytes(10**5)
        ),
        "digits": b"P6\n" + b"9" * 10**5 + b" 1\n255\n",
    }
