"""Results that show the same picture as their query, told by the thumbnails of both."""

import asyncio
from concurrent import futures
from typing import Any

import numpy as np

from jhash.data import decoding
from jhash.encoding import image_search, same_picture
from jhash.encoding.image_search import CANDIDATES, Hits
from jhash.serve import limits
from jhash.serve.collection import Watched
from jhash.serve.thumbnails import Thumbnails


class Verifier:
    """A few threads that compare results with their query; more queries wait."""

    def __init__(self, watched: Watched, thumbnails: Thumbnails, is_on: bool):
        """Starts the threads when they are first needed.

        Args:
          watched: What is served.
          thumbnails: The thumbnails of its images. Where one is not kept, the image is read.
          is_on: False leaves all results in their order.
        """
        self._watched = watched
        self._thumbnails = thumbnails
        self._is_on = is_on
        self._pool = futures.ThreadPoolExecutor(limits.THREADS, thread_name_prefix="jhash-verify")

    def searched(self, k: int) -> int:
        """Returns how many results are to be searched for where k are shown."""
        return max(k, CANDIDATES + 1) if self._has_pictures() else k

    async def same_first(self, hits: Hits, query: str | bytes | None) -> Hits:
        """Puts results first that show the same picture; see `image_search.same_first`.

        Args:
          hits: The results, of which an image that is its own query is left out.
          query: The id of the query image, or its thumbnail; None if there is neither.
        """
        if query is None or not self._has_pictures():
            return hits

        def compare():
            pixels = self._find(query) if isinstance(query, str) else _pixels(query)
            return image_search.same_first(hits, pixels, self._find)

        return await asyncio.get_running_loop().run_in_executor(self._pool, compare)

    def close(self) -> None:
        """Ends the threads when they have finished."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _has_pictures(self):
        return self._is_on and bool(self._watched.served.folders.roots)

    def _find(self, identifier: Any) -> np.ndarray | None:
        """Returns the picture of an image of the index, or None."""
        path = self._watched.served.folders.path_of(identifier)
        if path is None:
            return None
        try:
            content = self._thumbnails.kept(identifier, path)
        except OSError:  # The image is gone.
            return None
        # Kept thumbnails are larger than what is compared.
        return image_search.picture(path, identifier) if content is None else _pixels(content)


def _pixels(thumbnail: bytes) -> np.ndarray:
    return decoding.thumbnail(thumbnail, "thumbnail", same_picture.SIDE)
