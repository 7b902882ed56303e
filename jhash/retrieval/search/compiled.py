"""Scans of packed codes, compiled by Numba for each length of a code.

A scan sees a block of rows at a time. It computes their distances, which stay in the nearest cache.
Then it finds by counting how far the results reach, and takes out the rows that are closer. So a
block gives no more candidates than results are wanted.

Numba keeps what it compiles on disk, for later processes. It does so for functions of modules that
hold no other compiled function in a closure. Therefore the length of a code is an argument: `shape`
is a tuple with as many zeros as a code has integers, and its type is what the compiler sees.

Letters in the shapes: N rows of the database, Q queries, V integers of a code, C candidates, D
distances and one more, B rows of a block.
"""

from collections.abc import Callable

import numba
import numpy as np

from jhash.retrieval.search.instructions import LANES, below, distances_of, lowest_bit, popcount

# Rows of a block, whose distances lie in the nearest cache, and integers of codes that all queries
# see before the next ones, from the next cache.
_BLOCK = 1 << 13
_CHUNK = 1 << 16
# Room for candidates, in numbers of results.
_CANDIDATES = 4
# A candidate is an integer: its distance, and in these bits its position.
_PLACE_BITS = 40
_PLACE = (1 << _PLACE_BITS) - 1


def _compiled(function: Callable) -> Callable:
    """Compiles a function when it is called first, and keeps that on disk where there is room."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # Neither this folder nor the user's home can be written.
        return numba.njit(nogil=True)(function)


def nearest(
    codes_NxV: np.ndarray,
    queries_QxV: np.ndarray,
    radius: int,
    visible_N: np.ndarray,
    distances_Qxk: np.ndarray,
    positions_Qxk: np.ndarray,
) -> np.ndarray:
    """Finds the first k rows within a radius of each query, in the order of (distance, position).

    Args:
      codes_NxV: Packed codes, uint32 or uint64.
      queries_QxV: Packed queries, of the same type.
      radius: The largest distance of a result.
      visible_N: Whether each row is searched, bool; empty for all.
      distances_Qxk: Room for the distances, int32; k is 1 at least.
      positions_Qxk: Room for the positions, int64.

    Returns:
      Numbers of results, int64 [Q]. What lies behind the results of a query has no meaning.
    """
    queries, k = distances_Qxk.shape
    shape, distances_B = _shape(queries_QxV)
    # Each query keeps its candidates, and how many of them are at each distance. What is closer
    # than its limit is a candidate.
    keys_QxC = np.empty((queries, _CANDIDATES * k), np.int64)
    counts_QxD = np.zeros((queries, 8 * queries_QxV[:1].nbytes + 2), np.int64)
    candidates_Q = np.zeros(queries, np.int64)
    limits_Q = np.full(queries, radius + 1, np.int64)
    _take(
        *(codes_NxV.reshape(-1), queries_QxV, shape, visible_N, _chunk(shape), k, distances_B),
        *(keys_QxC, counts_QxD, candidates_Q, limits_Q),
    )
    _sort(keys_QxC, counts_QxD, candidates_Q, limits_Q, distances_Qxk, positions_Qxk)
    return candidates_Q


def count_within(
    codes_NxV: np.ndarray, queries_QxV: np.ndarray, radius: int, visible_N: np.ndarray
) -> np.ndarray:
    """Counts the rows within a radius of each query; see `nearest`. Returns int64 [Q]."""
    shape, distances_B = _shape(queries_QxV)
    counts_Q = np.zeros(len(queries_QxV), np.int64)
    _count(
        *(codes_NxV.reshape(-1), queries_QxV, shape, visible_N, _chunk(shape), radius),
        *(distances_B, counts_Q),
    )
    return counts_Q


def _chunk(shape):
    """Returns the number of rows that all queries see before the next ones."""
    return max(1, _CHUNK // len(shape) // _BLOCK) * _BLOCK


def _shape(queries_QxV):
    """Returns what says the length of a code, and room for the distances of a block."""
    integers = queries_QxV.shape[1]
    # The largest number of the type is larger than any distance.
    distance = np.uint8 if 8 * queries_QxV[:1].nbytes < 256 else np.uint16
    return (0,) * integers, np.empty(_BLOCK, distance)


@_compiled
def _measure(codes, query, shape, visible, start, distances):
    """Computes the distances of a block of rows that starts at a given one.

    Returns:
      The number of the distances. It is a multiple of `LANES`, and the last ones, as those of rows
      that are not visible, are larger than any.
    """
    integers = len(shape)
    rows = min(len(distances), len(codes) // integers - start)
    whole = rows // LANES * LANES
    for row in range(0, whole, LANES):
        distances_of(codes, (start + row) * integers, query, shape, distances, row)
    largest = np.iinfo(distances.dtype).max
    if whole < rows:
        for row in range(whole, rows):
            total = np.uint64(0)
            for i in range(integers):
                total += popcount(codes[(start + row) * integers + i] ^ query[i])
            distances[row] = total
        whole += LANES
        distances[rows:whole] = largest
    if len(visible):
        for row in range(rows):
            distances[row] = distances[row] if visible[start + row] else largest
    return whole


@_compiled
def _closer(distances, size, limit):
    """Counts the distances below a limit."""
    total = np.int64(0)
    for start in range(0, size, LANES):
        total += np.int64(popcount(below(distances, start, limit)))
    return total


@_compiled
def _count(codes, queries, shape, visible, chunk, radius, distances, counts):
    """Counts the rows within a radius; `count_within` has the arguments."""
    rows = len(codes) // len(shape)
    for first in range(0, rows, chunk):
        for q in range(len(queries)):
            for start in range(first, min(rows, first + chunk), len(distances)):
                size = _measure(codes, queries[q], shape, visible, start, distances)
                counts[q] += _closer(distances, size, radius + 1)


@_compiled
def _take(codes, queries, shape, visible, chunk, k, distances, keys, counts, candidates, limits):
    """Takes candidates out of the rows; `nearest` has the arguments."""
    rows = len(codes) // len(shape)
    for first in range(0, rows, chunk):
        for q in range(len(queries)):
            for start in range(first, min(rows, first + chunk), len(distances)):
                size = _measure(codes, queries[q], shape, visible, start, distances)
                candidates[q], limits[q] = _take_block(
                    *(distances, size, start, k),
                    *(keys[q], counts[q], candidates[q], limits[q]),
                )


@_compiled
def _take_block(distances, size, start, k, keys, counts, candidates, limit):
    """Takes candidates of a query out of a block of rows that starts at a given one.

    Returns:
      The number of candidates, and the limit.
    """
    hits = _closer(distances, size, limit)
    if not hits:
        return candidates, limit
    closer = counts[:limit].sum()
    # How many rows at the limit are taken. None are, as long as the limit stays: candidates from
    # before are there, or it is beyond the radius.
    room = 0
    if closer + hits >= k:
        limit = _fall(distances, size, counts, limit, k)
        closer = counts[:limit].sum()
        hits = _closer(distances, size, limit)
        room = max(0, k - closer - hits - counts[limit])
    if candidates + k > len(keys):
        candidates = _keep(keys, candidates, limit, k - closer)
    for piece in range(0, size, LANES):
        left = below(distances, piece, limit)
        if room:
            at_limit = below(distances, piece, limit + 1) & ~left
            while at_limit and room:
                left |= at_limit & (~at_limit + np.uint64(1))
                at_limit &= at_limit - np.uint64(1)
                room -= 1
        while left:
            row = piece + np.int64(lowest_bit(left))
            left &= left - np.uint64(1)
            distance = np.int64(distances[row])
            keys[candidates] = distance << _PLACE_BITS | (start + row)
            counts[distance] += 1
            candidates += 1
    return candidates, limit


@_compiled
def _fall(distances, size, counts, limit, k):
    """Finds the largest limit that fewer than k rows are closer than.

    Args:
      distances: Distances of a block.
      size: Number of them.
      counts: Number of candidates from before at each distance.
      limit: A limit that k or more rows are closer than.
      k: Number of results.
    """
    high = limit
    low = limit - 1
    step = 1
    # It is near for most blocks, and far for the first one.
    while low > 0 and counts[:low].sum() + _closer(distances, size, low) >= k:
        high = low
        step *= 2
        low = max(0, high - step)
    while high - low > 1:
        middle = (low + high) // 2
        if counts[:middle].sum() + _closer(distances, size, middle) >= k:
            high = middle
        else:
            low = middle
    return low


@_compiled
def _keep(keys, candidates, limit, at_limit):
    """Keeps the candidates that are closer than the limit, and the first ones at it.

    Args:
      keys: Candidates of a query, by ascending position.
      candidates: Number of candidates.
      limit: The limit.
      at_limit: How many to keep at the limit.

    Returns:
      Number of candidates.
    """
    kept = np.int64(0)
    left = at_limit
    for i in range(candidates):
        # Without branches, which processors would often guess wrong here.
        distance = keys[i] >> _PLACE_BITS
        taken = np.int64(distance == limit) & np.int64(left > 0)
        keys[kept] = keys[i]
        kept += taken | np.int64(distance < limit)
        left -= taken
    return kept


@_compiled
def _sort(keys, counts, candidates, limits, distances, positions):
    """Sorts the candidates of each query by (distance, position); `nearest` has the arguments."""
    k = distances.shape[1]
    for q in range(len(keys)):
        limit = limits[q]
        kept = _keep(keys[q], candidates[q], limit, k - counts[q, :limit].sum())
        candidates[q] = kept
        ends = np.cumsum(counts[q, : limit + 1]) - counts[q, : limit + 1]
        for i in range(kept):
            distance = keys[q, i] >> _PLACE_BITS
            distances[q, ends[distance]] = distance
            positions[q, ends[distance]] = keys[q, i] & _PLACE
            ends[distance] += 1
