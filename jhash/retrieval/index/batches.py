"""Exact search of a batch of queries in a database with few distinct codes.

The device finds distinct codes, and the host puts their positions in the place of each.
"""

from collections.abc import Callable

import numpy as np

from jhash.retrieval.index import distinct
from jhash.retrieval.index.distinct import Distinct
from jhash.retrieval.search.results import Results, ranges

# Distinct codes that are found per query, at first and each time that they do not suffice.
FIRST = 64
_FACTOR = 16
# A search is sorted by one integer: query, distance and position.
_DISTANCE_SHIFT = 31
_QUERY_SHIFT = 41

# Called with queries and k; returns distances and numbers of codes, both [Q, k]. If there are fewer
# codes, distances follow that no two codes have.
Search = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def find(
    codes: Distinct,
    queries: np.ndarray,
    k: int | None,
    radius: int,
    search: Search,
    max_codes: int,
) -> Results:
    """Finds the nearest positions of each query, as a scan of all rows would.

    Args:
      codes: Distinct codes of the database, and their positions.
      queries: Packed queries, uint32 [Q, words]; fewer than 2^22.
      k: Number of results per query; None for all within the radius.
      radius: The largest distance of a result.
      search: Finds the nearest distinct codes.
      max_codes: Number of codes that `search` can be asked for, not below that of all codes.

    Returns:
      The results, k per query or as many as there are.
    """
    sizes_D = np.diff(codes.starts)
    keys = []
    rest = np.arange(len(queries))
    wanted = min(FIRST, max_codes)
    while len(rest):
        distances_Qxn, numbers_Qxn = search(queries[rest], wanted)
        numbers_Qxn = np.minimum(numbers_Qxn, len(sizes_D) - 1)
        chosen_Qxn, complete_Q = _choose(distances_Qxn, sizes_D[numbers_Qxn], k, radius)
        if wanted == max_codes:
            complete_Q[:] = True
        chosen_Qxn &= complete_Q[:, None]
        place, _ = np.nonzero(chosen_Qxn)
        source, positions = distinct.positions_of(codes, numbers_Qxn[chosen_Qxn], k)
        query_key = rest[place] << _QUERY_SHIFT
        code_key = query_key | distances_Qxn[chosen_Qxn].astype(np.int64) << _DISTANCE_SHIFT
        keys.append(code_key[source] | positions)
        rest = rest[~complete_Q]
        wanted = min(wanted * _FACTOR, max_codes)
    # The positions of each code are sorted already; a stable sort makes use of that.
    key = np.sort(np.concatenate([np.empty(0, np.int64), *keys]), kind="stable")
    starts = np.searchsorted(key, np.arange(len(queries)) << _QUERY_SHIFT)
    counts = np.diff(np.append(starts, len(key)))
    if k is not None:
        counts = np.minimum(counts, k)
        key = key[ranges(starts, counts)]
    limits = np.append(0, np.cumsum(counts))
    distances = key >> _DISTANCE_SHIFT & ((1 << (_QUERY_SHIFT - _DISTANCE_SHIFT)) - 1)
    positions = key & ((1 << _DISTANCE_SHIFT) - 1)
    return Results(limits, distances.astype(np.int32), positions)


def _choose(distances_Qxn, sizes_Qxn, k, radius):
    """Chooses the codes that hold the first k positions, and others at the distance of the last.

    Args:
      distances_Qxn: Distances of the nearest codes, ascending.
      sizes_Qxn: Number of positions of each.
      k: Number of positions; None for all within the radius.
      radius: The largest distance of a position.

    Returns:
      Whether each code is chosen, bool [Q, n], and whether no other code can be among them, bool
      [Q].
    """
    bound_Q = np.full(len(distances_Qxn), radius)
    if k is not None:
        # The code with which there are enough; without one, all within the radius are wanted.
        enough_Qxn = np.cumsum(sizes_Qxn, axis=1) >= k
        last_Qx1 = np.argmax(enough_Qxn, axis=1)[:, None]
        last_Q = np.take_along_axis(distances_Qxn, last_Qx1, axis=1)[:, 0]
        bound_Q = np.where(enough_Qxn[:, -1], np.minimum(bound_Q, last_Q), bound_Q)
    return distances_Qxn <= bound_Q[:, None], bound_Q < distances_Qxn[:, -1]
