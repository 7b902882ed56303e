"""Exact search on the host, for little work: XLA compiles nothing, and wakes no threads.

Letters in the shapes: N rows of the database, W words of a code, V integers of a code.
"""

import functools
import os

import numpy as np

from jhash.retrieval.search.results import Results, join

# Words of codes that NumPy compares before scans are compiled, which takes as long: a second or so.
_PATIENCE = 3 << 30
# Words that it has compared in this process.
_scanned = 0
# Rows whose distances are computed at a time: what lies between the steps stays in the cache.
_BLOCK = 1 << 15
# Slices whose minima bound the k-th smallest distance, for so many minima per result at least.
_FOLD = 32
_MINIMA = 4


def find(
    queries_QxW: np.ndarray,
    codes_NxW: np.ndarray,
    k: int | None,
    radius: int,
    visible_N: np.ndarray | None = None,
) -> Results:
    """Finds the nearest codes of each query.

    Args:
      queries_QxW: Packed queries, uint32.
      codes_NxW: Packed database, uint32.
      k: Number of results per query, at least 1; None for all within the radius.
      radius: The largest distance of a result, 0 to 32 * W.
      visible_N: Whether each row is searched, bool; None for all.

    Returns:
      k results per query, or as many as there are.
    """
    if kernels := _kernels(len(queries_QxW) * codes_NxW.size):
        return kernels.find(as_integers(codes_NxW), as_integers(queries_QxW), k, radius, visible_N)
    return join(_find(query_W, codes_NxW, k, radius, visible_N) for query_W in queries_QxW)


def is_compiled() -> bool:
    """Tells if scans are compiled by now, see `fast`: there were many, and Numba is there."""
    return _scanned >= _PATIENCE and can_compile()


def can_compile() -> bool:
    """Tells if scans will be compiled once there were many: if Numba is there."""
    return _fast() is not None


@functools.cache
def cpus() -> int:
    """Returns the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def distances(query_W: np.ndarray, codes_NxW: np.ndarray) -> np.ndarray:
    """Counts the bits in which a query differs from each code.

    Args:
      query_W: Packed query, uint32.
      codes_NxW: Packed database, uint32.

    Returns:
      uint8 [N], or uint16 for codes of 8 words or more. The largest number of the type is larger
      than any distance.
    """
    codes_NxV = as_integers(codes_NxW)
    query_V = as_integers(query_W[None])[0]
    n = len(codes_NxV)
    total_N = np.empty(n, np.uint8 if codes_NxW.shape[1] < 8 else np.uint16)
    differ_B = np.empty(min(n, _BLOCK), codes_NxV.dtype)
    count_B = np.empty(min(n, _BLOCK), np.uint8)
    for start in range(0, n, _BLOCK):
        block_BxV = codes_NxV[start : start + _BLOCK]
        total_B = total_N[start : start + _BLOCK]
        differ_b, count_b = differ_B[: len(block_BxV)], count_B[: len(block_BxV)]
        for column, word in enumerate(query_V):
            np.bitwise_xor(block_BxV[:, column], word, out=differ_b)
            np.bitwise_count(differ_b, out=total_B if column == 0 else count_b)
            if column:
                np.add(total_B, count_b, out=total_B)
    return total_N


def as_integers(codes_NxW: np.ndarray) -> np.ndarray:
    """Views packed codes as the fewest integers: uint64 [N, W / 2] where W is even, else uint32."""
    if codes_NxW.shape[1] % 2:
        return codes_NxW
    return np.ascontiguousarray(codes_NxW).view(np.uint64)


def _kernels(work):
    """Returns the module of compiled scans once that pays; None before, and without Numba."""
    global _scanned
    if _scanned < _PATIENCE:
        _scanned += work
        return None
    return _fast()


@functools.cache
def _fast():
    try:
        from jhash.retrieval.search import fast
    except ImportError:
        return None
    return fast


def _find(query_W, codes_NxW, k, radius, visible_N):
    """Finds the nearest codes of one query: distances int32 [n] and positions int64 [n]."""
    distances_N = distances(query_W, codes_NxW)
    if visible_N is not None:
        # Further than any two codes are from each other.
        np.putmask(distances_N, ~visible_N, np.iinfo(distances_N.dtype).max)
    bound = radius if k is None else min(radius, _bound(distances_N, k))
    hits = np.flatnonzero(distances_N <= distances_N.dtype.type(bound))
    near = distances_N[hits]
    order = np.argsort(near, kind="stable")[:k]
    return near[order].astype(np.int32), hits[order]


def _bound(distances_N, k):
    """Returns an upper bound of the k-th smallest distance; the largest one if there are fewer."""
    n = len(distances_N)
    if k >= n:
        return int(distances_N.max(initial=0))
    fold = _FOLD
    while fold > 1 and n // fold < _MINIMA * k:
        fold //= 2
    # Of the minima over slices, the k-th smallest is no smaller than that of all distances.
    minima = distances_N
    if fold > 1:
        slices = distances_N[: n // fold * fold].reshape(fold, -1)
        minima = np.minimum.reduce(slices, axis=0)
    return int(np.searchsorted(np.cumsum(np.bincount(minima)), k))
