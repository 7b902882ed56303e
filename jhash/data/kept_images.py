"""Decoded images that stay in memory while they fit, since decoding takes most of an epoch."""

import math
import threading
from collections.abc import Callable

import numpy as np

from jhash.system import memory

# Share of the free memory that the images of a source may take. Several runs may start at once.
_SHARE = 1 / 4
# Share of it that stays free, however many processes of a host keep images.
_FREE = 1 / 2


class KeptImages:
    """Images of a source, decoded once each while there is room.

    The room is a fourth of the memory that is free when the first images are read. No more are kept
    once half of that memory is in use, as by other processes that keep images of their own. Images
    beyond it are decoded whenever they are read. The images are the same in either case. A copy in
    another process keeps none.
    """

    def __init__(
        self,
        count: int,
        image_shape: tuple[int, int, int],
        decode: Callable[[np.ndarray], np.ndarray],
    ):
        """Describes the images; no memory is taken yet.

        Args:
          count: Number of images of the source.
          image_shape: (height, width, channels) of every image.
          decode: Function from int64 [B] indices to uint8 [B, height, width, channels].
        """
        self._count = count
        self._shape = image_shape
        self._decode = decode
        self._share = _SHARE
        self._start()

    def _start(self):
        self._lock = threading.Lock()
        self._images: np.ndarray | None = None
        self._used = 0

    def __getstate__(self):
        """Leaves out the images, which are large, and the lock."""
        own = {"_count": self._count, "_shape": self._shape, "_decode": self._decode}
        return own | {"_share": 0}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._start()

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Returns the images at int64 [B] `indices`, in their order, as `decode` does."""
        return self.read_with(indices, self._decode)

    def read_with(
        self, indices: np.ndarray, decode: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Returns images as `read` does, where another function decodes those that are missing."""
        indices = np.asarray(indices, np.int64)
        # An image in a slot never changes, so that it can be read without the lock.
        slots = self._slots_of(indices)
        images = np.empty((len(indices), *self._shape), np.uint8)
        kept = slots >= 0
        images[kept] = self._images[slots[kept]]
        if not kept.all():
            images[~kept] = self._decoded(indices[~kept], decode)
        return images

    def missing(self, indices: np.ndarray) -> np.ndarray:
        """Returns the distinct ones of int64 [B] `indices` whose images are not kept yet."""
        indices = np.unique(indices)
        return indices[self._slots_of(indices) < 0]

    def _slots_of(self, indices):
        with self._lock:
            if self._images is None:
                self._make_room()
            return self._slots[indices]

    def _make_room(self):
        free = memory.available()
        self._reserve = free * _FREE
        most = int(free * self._share) // math.prod(self._shape)
        # The system gives an array memory only for what has been written to it.
        self._images = np.empty((min(self._count, most), *self._shape), np.uint8)
        self._slots = np.full(self._count, -1, np.int64)

    def _decoded(self, indices, decode):
        """Decodes images, and keeps those for which there is room."""
        distinct, places = np.unique(indices, return_inverse=True)
        decoded = decode(distinct)
        with self._lock:
            # Another thread may have kept some of them meanwhile.
            new = np.flatnonzero(self._slots[distinct] < 0)[: len(self._images) - self._used]
            if len(new) and memory.available() < self._reserve:
                new = new[:0]
            slots = np.arange(self._used, self._used + len(new))
            self._images[slots] = decoded[new]
            self._slots[distinct[new]] = slots
            self._used += len(new)
        return decoded[places]
