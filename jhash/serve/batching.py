"""Queries of many clients, answered a few at a time by one forward pass and one search."""

import asyncio
import collections
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import NamedTuple

import numpy as np

from jhash.encoding import image_search
from jhash.encoding.image_search import Hits
from jhash.errors import InputError
from jhash.serve import limits
from jhash.serve.collection import Served
from jhash.serve.metrics import Metrics
from jhash.system import text

# Seconds for which the first query of a batch waits for others. While a batch is answered, the
# next one collects anyway.
_COLLECT = 0.003
# Numbers of images and of queries to which batches are filled up, since each number is compiled.
_IMAGES = (1, 4, 16)
_QUERIES = (1, 4, 16, 64)
# Numbers of results to which those that clients ask for are rounded up, for the same reason.
# The first has room for the candidates of `image_search.same_first`.
_RESULTS = (64, 128, limits.MAX_RESULTS + 2)


class UnknownImageError(InputError):
    """An id is not in the index."""


class BusyError(Exception):
    """More queries wait than the server can answer soon."""


class Query(NamedTuple):
    """What is searched for: one of these.

    Attributes:
      identifier: The id of an image of the index, as text.
      code: A packed code, uint32 [words].
      pixels: An image, uint8 of the shape that the encoder takes.
    """

    identifier: str | None = None
    code: np.ndarray | None = None
    pixels: np.ndarray | None = None


class Found(NamedTuple):
    """The answer: the query's code, uint32 [words], and its results, sorted."""

    code: np.ndarray
    hits: Hits


class Batcher:
    """A queue of queries, and the thread that answers them."""

    def __init__(self, current: Callable[[], Served], metrics: Metrics):
        """Starts with an empty queue; `run` empties it.

        Args:
          current: Returns the state that is searched now.
          metrics: Where sizes and times of batches are counted.
        """
        self._current = current
        self._metrics = metrics
        self._queue: asyncio.Queue = asyncio.Queue(limits.MAX_WAITING)
        self._thread = futures.ThreadPoolExecutor(1, thread_name_prefix="jhash-search")

    async def search(self, query: Query, k: int) -> Found:
        """Searches for one query.

        Args:
          query: The query.
          k: Number of results, 1 to `limits.MAX_RESULTS` + 2; fewer if the index has fewer.

        Raises:
          UnknownImageError: The id is not in the index.
          InputError: The code or the pixels do not fit the index.
          BusyError: Too many queries wait.
        """
        answer = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((query, k, answer))
        except asyncio.QueueFull:
            raise BusyError from None
        self._metrics.waiting.set(self._queue.qsize())
        return await answer

    async def run(self) -> None:
        """Answers queries until it is cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                batch = [await self._queue.get()]
                await asyncio.sleep(_COLLECT)
                while len(batch) < _QUERIES[-1] and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                self._metrics.waiting.set(self._queue.qsize())
                # Clients that have gone away or run out of time want no answer any more.
                batch = [waiting for waiting in batch if not waiting[2].done()]
                queries = [waiting[:2] for waiting in batch]
                try:
                    answers = await loop.run_in_executor(
                        self._thread, answer, self._current(), queries, self._metrics
                    )
                except Exception as error:  # A fault of one batch must not end all that follow.
                    answers = [error] * len(batch)
                for (_, _, future), found in zip(batch, answers, strict=True):
                    if future.done():
                        continue
                    if isinstance(found, Exception):
                        future.set_exception(found)
                    else:
                        future.set_result(found)
        finally:
            self._thread.shutdown(wait=False)


def answer(
    served: Served, queries: Sequence[tuple[Query, int]], metrics: Metrics
) -> list[Found | Exception]:
    """Answers a batch of queries.

    Args:
      served: What is searched.
      queries: Pairs of a query and its number of results.
      metrics: Where sizes and times are counted.

    Returns:
      For each query its answer, or the reason why there is none.
    """
    if not queries:
        return []
    metrics.batch_queries.observe(len(queries))
    answers: list = _codes(served, [query for query, _ in queries], metrics)
    # Queries that want about as many results are searched for together.
    together = collections.defaultdict(list)
    for place, (_, k) in enumerate(queries):
        if not isinstance(answers[place], Exception):
            together[min(size for size in _RESULTS if size >= k)].append(place)
    began = time.perf_counter()
    for k, places in together.items():
        codes = np.stack([answers[place] for place in places])
        results = _search(served, codes, k)
        for place, code, hits in zip(places, codes, results, strict=True):
            answers[place] = Found(code, hits.taken(slice(queries[place][1])))
    metrics.search_seconds.observe(time.perf_counter() - began)
    return answers


def compile_all(served: Served) -> None:
    """Compiles what batches of all sizes run, so that no client waits for it."""
    words = -(-served.index.bits // 32)

    def encode(size):
        served.encoder.encode_arrays(np.zeros((size, *served.encoder.image_shape), np.uint8), size)

    def search(size):
        _search(served, np.zeros((size, words), np.uint32), _RESULTS[0])

    jobs = [(encode, size) for size in _IMAGES] + [(search, size) for size in _QUERIES]
    with futures.ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(lambda job: job[0](job[1]), jobs))  # `list` raises errors of threads.


def _codes(served, queries, metrics):
    """Returns the code of each query, uint32 [words], or the reason why it has none."""
    codes: list = [_known(served, query) for query in queries]
    places = [place for place, code in enumerate(codes) if code is None]
    if places:
        began = time.perf_counter()
        pixels = np.stack([queries[place].pixels for place in places])
        for place, code in zip(places, _encode(served.encoder, pixels), strict=True):
            codes[place] = code
        metrics.encode_seconds.observe(time.perf_counter() - began)
    return codes


def _known(served, query):
    """Returns the code of a query, None if its pixels are to be encoded, or an error."""
    words = -(-served.index.bits // 32)
    if query.pixels is not None:
        if query.pixels.shape == served.encoder.image_shape:
            return None
        return InputError("image: one for another encoder given, as the index was replaced by now.")
    if query.code is not None:
        if len(query.code) == words:
            return query.code
        return InputError(f"code: {32 * len(query.code)} bits given; allowed: {served.index.bits}.")
    try:
        return served.find(query.identifier)[1]
    except InputError:
        name = text.shortened(repr(query.identifier))
        return UnknownImageError(
            f"There is no image {name} in the index. It may be removed by now."
        )


def _encode(encoder, pixels_BxHxWxC):
    """Encodes images, uint32 [B, words], in batches of few sizes."""
    codes = []
    for start in range(0, len(pixels_BxHxWxC), _IMAGES[-1]):
        batch = pixels_BxHxWxC[start : start + _IMAGES[-1]]
        filled = _filled(batch, _IMAGES)
        codes.append(encoder.encode_arrays(filled, len(filled))[: len(batch)])
    return np.concatenate(codes)


def _search(served, codes_QxW, k):
    """Searches; returns the results of each query."""
    k = min(k, len(served.index))
    if not k:
        none = Hits(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, bool))
        return [none] * len(codes_QxW)
    found = image_search.nearest(served.index, _filled(codes_QxW, _QUERIES), k)
    return found[: len(codes_QxW)]


def _filled(rows, sizes):
    """Adds rows of zeros up to the next of the sizes."""
    size = min(size for size in sizes if size >= len(rows))
    return np.pad(rows, [(0, size - len(rows))] + [(0, 0)] * (rows.ndim - 1))
