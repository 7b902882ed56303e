"""Files for the search page: names and headers that want to do harm."""

import os
import struct
import zlib

import numpy as np
from PIL import Image

# An id with a slash: a folder and a file in it.
SCRIPT = "<script>alert(1)</script>.png"
HANDLER = '"><img src=x onerror=alert(2)>.png'


def draw(path, seed: int) -> None:
    """Draws a picture of colored rows, which an encoder that sees rows tells from others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.random.default_rng(seed).integers(0, 256, (12, 1, 3), dtype=np.uint8)
    Image.fromarray(np.repeat(rows, 9, axis=1)).save(path)
    os.utime(path, (1e9, 1e9))


def declared_png(width: int, height: int) -> bytes:
    """Makes a PNG whose header declares any size; of its pixels there are none."""

    def chunk(kind, data):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
