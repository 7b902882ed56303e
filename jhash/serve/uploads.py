"""Images that clients send: decoded within bounds, and shown for a while beside their results."""

import asyncio
import collections
import secrets
from concurrent import futures
from typing import NamedTuple

import numpy as np

from jhash.data import decoding
from jhash.errors import InputError
from jhash.serve import limits, thumbnails
from jhash.system import text

# Uploads whose thumbnails are kept, some 20 kB each.
_KEPT = 500
_NAME_LENGTH = 200


class Picture(NamedTuple):
    """An upload.

    Attributes:
      name: The name of its file, as the client gave it.
      pixels: uint8 of the shape that the encoder takes.
      thumbnail: JPEG.
    """

    name: str
    pixels: np.ndarray
    thumbnail: bytes


class Decoder:
    """A few threads that decode uploads; more uploads wait."""

    def __init__(self):
        """Starts the threads when they are first needed."""
        self._pool = futures.ThreadPoolExecutor(limits.THREADS, thread_name_prefix="jhash-upload")

    async def decode(self, content: bytes, name: str, encoder) -> Picture:
        """Decodes an upload.

        Args:
          content: The content of the file.
          name: Its name, which may be anything.
          encoder: The encoder that will take the pixels.

        Raises:
          InputError: The image cannot be read, or has too many pixels.
        """
        name = text.shortened(name, _NAME_LENGTH) or "without a name"
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, _decode, content, name, encoder)

    def close(self) -> None:
        """Ends the threads when they have finished."""
        self._pool.shutdown(wait=False)


class Recent:
    """The thumbnails of the last uploads, under names that nobody can guess."""

    def __init__(self):
        """Starts without any."""
        self._pictures: collections.OrderedDict[str, Picture] = collections.OrderedDict()

    def add(self, picture: Picture) -> str:
        """Keeps a picture, and drops the oldest one if there are too many; returns its key."""
        key = secrets.token_urlsafe(16)
        self._pictures[key] = picture._replace(pixels=np.empty(0, np.uint8))
        while len(self._pictures) > _KEPT:
            self._pictures.popitem(last=False)
        return key

    def get(self, key: str) -> Picture | None:
        """Returns a picture without its pixels, or None if it is not kept any more."""
        return self._pictures.get(key)


def _decode(content, name, encoder):
    if not content:
        raise InputError(f"image {name} cannot be read: it is empty")
    # The header alone; no pixel is decoded before its size is known.
    width, height, _ = decoding.look(content, name)
    if width * height > limits.MAX_PIXELS:
        raise InputError(
            f"image {name} cannot be read: it has {width:,} x {height:,} pixels; allowed: up to "
            f"{limits.MAX_PIXELS:,}"
        )
    return Picture(name, encoder.decode(content, name), thumbnails.jpeg(content, name))
