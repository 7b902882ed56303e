"""The scan of `host`, compiled by Numba: several times as fast, with the same results.

Importing this module takes a second, and the first scan of codes of a new length takes some more,
once per machine: Numba keeps what it compiles on disk.

Letters in the shapes: N rows of the database, Q queries, V integers of a code, C candidates.
"""

import concurrent.futures
import functools
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from jhash.retrieval.search import host
from jhash.retrieval.search.results import Results, append, join

# Rows whose distances are computed at a time, and rows that all queries see before the next ones:
# the first lie in registers and the nearest cache, the others in the next one.
_BLOCK = 1024
_CHUNK = 1 << 16
# Rows that are looked at one by one where one of them is close.
_PIECE = 64
# Comparisons of two integers from which on several threads share the queries.
_THREADED = 1 << 23
# Codes of up to so many integers are compared many at a time, and longer ones one by one.
_MAX_COLUMNS = 4


@intrinsic
def _popcount(typing_context, word):
    """Counts the bits of an integer."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return word(word), generate


# What Numba makes of it has other arguments.
popcount: Any = _popcount


def _make_row_distance(integers: int) -> Any:
    """Makes the distance of a row from a query, by instructions that take a whole code at once."""

    @intrinsic
    def row_distance(typing_context, codes, row, query):
        def generate(context, builder, signature, arguments):
            word = context.get_value_type(codes.dtype)
            vector = ir.VectorType(word, integers)

            def load(array_type, value, index):
                data = make_array(array_type)(context, builder, value).data
                address = builder.bitcast(builder.gep(data, [index]), vector.as_pointer())
                loaded = builder.load(address)
                loaded.align = codes.dtype.bitwidth // 8
                return loaded

            def call(name, result, value):
                name = f"{name}.v{integers}i{word.width}"
                kind = ir.FunctionType(result, [vector])
                function = builder.module.globals.get(name)
                return builder.call(function or ir.Function(builder.module, kind, name), [value])

            zero = context.get_constant(types.int64, 0)
            differ = builder.xor(
                load(codes, arguments[0], arguments[1]), load(query, arguments[2], zero)
            )
            counts = call("llvm.ctpop", vector, differ)
            return call("llvm.vector.reduce.add", word, counts)

        return codes.dtype(codes, types.int64, query), generate

    return row_distance


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
    threads = min(len(queries_QxV), host.cpus())
    if threads < 2 or codes_NxV.size * len(queries_QxV) < _THREADED:
        return _find(queries_QxV, codes_NxV, k, radius, visible_N)
    search = functools.partial(_find, codes_NxV=codes_NxV, k=k, radius=radius, visible_N=visible_N)
    return append(_pool().map(search, np.array_split(queries_QxV, threads)))


def _find(queries_QxV, codes_NxV, k, radius, visible_N):
    """Finds the results of some queries; see `find`."""
    if k is not None:
        counts, distances_Qxk, positions_Qxk = nearest(codes_NxV, queries_QxV, k, radius, visible_N)
        if counts.sum() == distances_Qxk.size:
            limits = np.arange(0, distances_Qxk.size + 1, k)
            return Results(limits, distances_Qxk.reshape(-1), positions_Qxk.reshape(-1))
        found = np.arange(k) < counts[:, None]
        limits = np.append(0, np.cumsum(counts))
        return Results(limits, distances_Qxk[found], positions_Qxk[found])

    def within(query_1xV, count):
        if not count:
            return np.empty(0, np.int32), np.empty(0, np.int64)
        _, *found = nearest(codes_NxV, query_1xV, count, radius, visible_N)
        return tuple(array_1xk[0] for array_1xk in found)

    counts = count_within(codes_NxV, queries_QxV, radius, visible_N)
    return join(map(within, queries_QxV[:, None], counts.tolist()))


@functools.cache
def _pool():
    return concurrent.futures.ThreadPoolExecutor(host.cpus(), "hamming-search")


def nearest(
    codes_NxV: np.ndarray, queries_QxV: np.ndarray, k: int, radius: int, visible_N: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds the first k rows within a radius of each query, in the order of (distance, position).

    Args:
      codes_NxV: Packed codes, uint32 or uint64.
      queries_QxV: Packed queries, of the same type.
      k: Number of results per query, at least 1.
      radius: The largest distance of a result.
      visible_N: Whether each row is searched, bool; empty for all.

    Returns:
      Numbers of results, int64 [Q], distances int32 [Q, k] and positions int64 [Q, k]. What lies
      behind the results of a query has no meaning.
    """
    queries, integers = queries_QxV.shape
    bits = 8 * codes_NxV.dtype.itemsize * integers
    # Each query keeps its candidates, and how many of them are at each distance.
    size = 2 * k + _BLOCK
    near_QxC = np.empty((queries, size), np.int32)
    places_QxC = np.empty((queries, size), np.int64)
    counts_QxD = np.zeros((queries, bits + 2), np.int64)
    # Candidates, rows closer than the limit, and the limit: a row is a candidate if it is closer.
    state_Qx3 = np.zeros((queries, 3), np.int64)
    state_Qx3[:, 2] = radius + 1
    distances_B = np.empty(_BLOCK, np.uint8 if bits < 256 else np.uint16)
    scan = _scan(integers)
    for start in range(0, len(codes_NxV), _CHUNK):
        chunk = codes_NxV[start : start + _CHUNK].reshape(-1)
        visible = visible_N[start : start + _CHUNK]
        scan(
            *(chunk, queries_QxV, visible, start, k, distances_B),
            *(near_QxC, places_QxC, counts_QxD, state_Qx3),
        )
    distances_Qxk = np.empty((queries, k), np.int32)
    positions_Qxk = np.empty((queries, k), np.int64)
    numbers_Q = np.empty(queries, np.int64)
    _sort(
        *(near_QxC, places_QxC, counts_QxD, state_Qx3, radius),
        *(numbers_Q, distances_Qxk, positions_Qxk),
    )
    return numbers_Q, distances_Qxk, positions_Qxk


def count_within(
    codes_NxV: np.ndarray, queries_QxV: np.ndarray, radius: int, visible_N: np.ndarray
) -> np.ndarray:
    """Counts the rows within a radius of each query; see `nearest`. Returns int64 [Q]."""
    integers = queries_QxV.shape[1]
    bits = 8 * codes_NxV.dtype.itemsize * integers
    distances_B = np.empty(_BLOCK, np.uint8 if bits < 256 else np.uint16)
    counts_Q = np.zeros(len(queries_QxV), np.int64)
    count = _count(integers)
    for start in range(0, len(codes_NxV), _CHUNK):
        chunk = codes_NxV[start : start + _CHUNK].reshape(-1)
        count(chunk, queries_QxV, visible_N[start : start + _CHUNK], radius, distances_B, counts_Q)
    return counts_Q


@functools.cache
def _distances(integers: int) -> Any:
    """Compiles the distances of a block of codes."""
    if integers > _MAX_COLUMNS:
        row_distance = _make_row_distance(integers)

        @numba.njit(nogil=True, cache=True)
        def long_distances(codes, query, distances):
            # Four at a time, so that the instructions of one need not wait for those of another.
            whole = len(distances) // 4 * 4
            for row in range(0, whole, 4):
                start = row * integers
                one = row_distance(codes, start, query)
                two = row_distance(codes, start + integers, query)
                three = row_distance(codes, start + 2 * integers, query)
                four = row_distance(codes, start + 3 * integers, query)
                distances[row] = one
                distances[row + 1] = two
                distances[row + 2] = three
                distances[row + 3] = four
            for row in range(whole, len(distances)):
                distances[row] = row_distance(codes, row * integers, query)

        return long_distances

    @numba.njit(nogil=True, cache=True)
    def distances(codes, query, distances):
        # Vector instructions take many rows at once.
        for row in range(len(distances)):
            total = popcount(codes[row * integers] ^ query[0])
            for column in range(1, integers):
                total += popcount(codes[row * integers + column] ^ query[column])
            distances[row] = total

    return distances


@functools.cache
def _scan(integers: int) -> Any:
    """Compiles the search of a chunk of rows; `nearest` has the arguments."""
    distances_of = _distances(integers)

    @numba.njit(nogil=True, cache=True)
    def scan(codes, queries, visible, first, k, distances, near, places, counts, state):
        rows = len(codes) // integers
        size = near.shape[1]
        for q in range(len(queries)):
            candidates, closer, limit = state[q]
            for start in range(0, rows, _BLOCK):
                end = min(rows, start + _BLOCK)
                block = distances[: end - start]
                distances_of(codes[start * integers : end * integers], queries[q], block)
                if _smallest(block) >= limit:
                    continue
                for piece in range(0, len(block), _PIECE):
                    if _smallest(block[piece : piece + _PIECE]) >= limit:
                        continue
                    for i in range(piece, min(len(block), piece + _PIECE)):
                        if block[i] >= limit or (len(visible) and not visible[start + i]):
                            continue
                        near[q, candidates] = block[i]
                        places[q, candidates] = first + start + i
                        candidates += 1
                        counts[q, block[i]] += 1
                        closer += 1
                        # With k candidates, only what is closer than the last of them counts.
                        while closer >= k:
                            limit -= 1
                            closer -= counts[q, limit]
                if candidates + _BLOCK > size:
                    candidates = _keep(near[q], places[q], counts[q], candidates, limit, k - closer)
            state[q, 0] = candidates
            state[q, 1] = closer
            state[q, 2] = limit

    return scan


@functools.cache
def _count(integers: int) -> Any:
    """Compiles the counts of a chunk of rows; `count_within` has the arguments."""
    distances_of = _distances(integers)

    @numba.njit(nogil=True, cache=True)
    def count(codes, queries, visible, radius, distances, counts):
        rows = len(codes) // integers
        for q in range(len(queries)):
            for start in range(0, rows, _BLOCK):
                end = min(rows, start + _BLOCK)
                block = distances[: end - start]
                distances_of(codes[start * integers : end * integers], queries[q], block)
                hits = 0
                if len(visible):
                    seen = visible[start:end]
                    for i in range(len(block)):
                        hits += block[i] <= radius and seen[i]
                else:
                    for i in range(len(block)):
                        hits += block[i] <= radius
                counts[q] += hits

    return count


@numba.njit(nogil=True, cache=True)
def _smallest(values):
    smallest = values[0]
    for i in range(len(values)):
        smallest = min(smallest, values[i])
    return smallest


@numba.njit(nogil=True, cache=True)
def _keep(near, places, counts, candidates, limit, at_limit):
    """Keeps the candidates that are closer than the limit, and the first ones at it.

    Args:
      near: Distances of the candidates of a query.
      places: Their positions, ascending.
      counts: Number of candidates at each distance.
      candidates: Number of candidates.
      limit: The limit.
      at_limit: How many to keep at the limit.

    Returns:
      Number of candidates.
    """
    kept = 0
    left = at_limit
    for i in range(candidates):
        if near[i] < limit or (near[i] == limit and left):
            left -= near[i] == limit
            near[kept] = near[i]
            places[kept] = places[i]
            kept += 1
    counts[limit] = at_limit - left
    counts[limit + 1 :] = 0
    return kept


@numba.njit(nogil=True, cache=True)
def _sort(near, places, counts, state, radius, numbers, distances, positions):
    """Sorts the candidates of each query by (distance, position); `nearest` has the arguments."""
    k = distances.shape[1]
    for q in range(len(near)):
        candidates, closer, limit = state[q]
        at_limit = 0 if limit > radius else k - closer
        candidates = _keep(near[q], places[q], counts[q], candidates, limit, at_limit)
        ends = np.zeros(len(counts[q]) + 1, np.int64)
        for distance in range(limit + 1):
            ends[distance + 1] = ends[distance] + counts[q, distance]
        for i in range(candidates):
            distance = near[q, i]
            distances[q, ends[distance]] = distance
            positions[q, ends[distance]] = places[q, i]
            ends[distance] += 1
        numbers[q] = candidates
