"""Batches of images, read by threads while the devices compute on the batch before."""

from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any

import jax
import numpy as np

from jhash import parallel
from jhash.errors import InputError

_THREADS = 16  # The number that decodes the images of a source, too.


def run(
    images: Sequence[Any],
    read: Callable[[Any], np.ndarray],
    image_shape: tuple[int, int, int],
    batch_size: int,
    forward: Callable[[np.ndarray], Any],
    padded: bool = False,
) -> Iterator[tuple[Any, list[str | None]]]:
    """Applies a function to images in batches, in their order.

    Args:
      images: The images in any form, at least one.
      read: Function from an image to its pixels, uint8 of the shape `image_shape`; it raises
        InputError for one that cannot be read.
      image_shape: (height, width, channels).
      batch_size: Number of images at a time. It is lowered to the number of images unless batches
        are padded, then raised to a multiple of the number of devices.
      forward: Function from uint8 [B, height, width, channels] to a pytree of arrays [B, ...].
      padded: Whether `forward` is given batches of one size however few images there are, so that
        calls with other numbers of images compile nothing anew.

    Yields:
      (outputs, errors) of a batch: the outputs for the R images that can be read, NumPy arrays
      [R, ...], and for every image None or the reason why it cannot be read.
    """
    devices = parallel.device_count()
    size = batch_size if padded else min(batch_size, len(images))
    size = -(-size // devices) * devices
    late = None
    with futures.ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            pixels, errors = _read(batch, read, (size, *image_shape), pool)
            outputs = forward(pixels)
            # The outputs of a batch are fetched only when the next batch has been read, so that
            # reading and computing overlap.
            if late:
                yield _fetched(*late)
            late = outputs, errors
    yield _fetched(*late)


def _read(images, read, shape, pool):
    pixels = np.zeros(shape, np.uint8)

    def fill(slot):
        try:
            pixels[slot] = read(images[slot])
        except InputError as error:
            return str(error)

    return pixels, list(pool.map(fill, range(len(images))))


def _fetched(outputs, errors):
    # The empty slots are dropped, since a method may refuse their outputs.
    kept = [slot for slot, error in enumerate(errors) if error is None]
    return jax.tree.map(lambda leaf: np.asarray(leaf)[kept], outputs), errors
