"""The scan of `host`, compiled by Numba: several times as fast, with the same results.

Importing this module takes a second, and the first scan of codes of a new length takes some more,
once per machine: Numba keeps what it compiles on disk.

Letters in the shapes: N rows of the database, Q queries, V integers of a code.
"""

import concurrent.futures
import functools

import numpy as np

from jhash.retrieval.search import compiled, host
from jhash.retrieval.search.results import Results

# Nanoseconds of a comparison of two integers and of a result, and those of a search from which on
# several threads share the queries. Measured.
_COMPARISON = 0.1
_RESULT = 20.0
_THREADED = 1.2e5
# Nanoseconds of a part of a search that a thread takes at a time.
_PART = 4e5
# Queries that are searched together at most: their candidates lie in memory that is used again.
_TOGETHER = 32


def find(
    codes_NxV: np.ndarray,
    queries_QxV: np.ndarray,
    k: int | None,
    radius: int,
    visible_N: np.ndarray | None,
) -> Results:
    """Finds the nearest codes of each query; see `host.find`."""
    # Arrays that cannot be written, or are not in order, would be compiled for once more.
    queries_QxV = np.require(queries_QxV, requirements=("C", "W"))
    visible_N = np.empty(0, bool) if visible_N is None else visible_N
    if k is None:
        return _find_within(codes_NxV, queries_QxV, radius, visible_N)
    queries = len(queries_QxV)
    distances_Qxk = np.empty((queries, k), np.int32)
    positions_Qxk = np.empty((queries, k), np.int64)

    def search(part):
        outputs = distances_Qxk[part], positions_Qxk[part]
        return compiled.nearest(codes_NxV, queries_QxV[part], radius, visible_N, *outputs)

    counts = _map(search, queries, codes_NxV.size, k)
    limits = np.zeros(queries + 1, np.int64)
    counts.cumsum(out=limits[1:])
    if limits[-1] == distances_Qxk.size:
        return Results(limits, distances_Qxk.reshape(-1), positions_Qxk.reshape(-1))
    found = np.arange(k) < counts[:, None]
    return Results(limits, distances_Qxk[found], positions_Qxk[found])


def _find_within(codes_NxV, queries_QxV, radius, visible_N):
    """Finds all codes within a radius of each query, of which there may be any number."""

    def count(part):
        return compiled.count_within(codes_NxV, queries_QxV[part], radius, visible_N)

    def search(part):
        for query in range(part.start, part.stop):
            first, end = limits[query : query + 2]
            if first < end:
                outputs = distances[None, first:end], positions[None, first:end]
                query_1xV = queries_QxV[query : query + 1]
                compiled.nearest(codes_NxV, query_1xV, radius, visible_N, *outputs)
        return counts[part]

    queries = len(queries_QxV)
    counts = _map(count, queries, codes_NxV.size, 0)
    limits = np.append(0, np.cumsum(counts))
    distances = np.empty(limits[-1], np.int32)
    positions = np.empty(limits[-1], np.int64)
    _map(search, queries, codes_NxV.size, limits[-1] // queries)
    return Results(limits, distances, positions)


def _map(search, queries, integers, results):
    """Calls a search for parts of the queries, on several threads where that pays.

    Args:
      search: Takes a slice of the queries, and returns a number for each.
      queries: Number of queries.
      integers: Number of integers of the database.
      results: Number of results of a query.

    Returns:
      The numbers, int64 [queries].
    """
    nanoseconds = _COMPARISON * integers + _RESULT * results
    threads = min(queries, host.cpus()) if queries * nanoseconds >= _THREADED else 1
    size = min(_TOGETHER, queries)
    if threads > 1:
        size = min(size, max(1, int(_PART / nanoseconds)), -(-queries // threads))
    if size == queries:
        return search(slice(0, queries))
    numbers = np.empty(queries, np.int64)
    starts = iter(range(0, queries, size))

    def work():
        for start in starts:
            part = slice(start, min(start + size, queries))
            numbers[part] = search(part)

    # This thread works, too: others take a while to wake, and find less to do then, or nothing.
    others = [_pool().submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        if not other.cancel():
            other.result()
    return numbers


@functools.cache
def _pool():
    return concurrent.futures.ThreadPoolExecutor(host.cpus(), "hamming-search")
