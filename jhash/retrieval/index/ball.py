"""Distinct codes near a query, by looking up all codes of a ball.

There are 1 + L + L (L - 1) / 2 codes within a distance of 2 of a query of L bits: 2,081 for 64
bits. Each is looked up by bisection, so that the time hardly depends on the size of the database.
"""

import functools
import itertools

import numpy as np

from jhash.retrieval.index.distinct import Distinct
from jhash.retrieval.search import host

# Codes of more bits are no integers of NumPy, and larger balls have too many codes.
MAX_BITS = 64
MAX_RADIUS = 2


def ring(distinct: Distinct, query_W: np.ndarray, bits: int, distance: int) -> np.ndarray:
    """Finds the codes at one distance from a query.

    Args:
      distinct: The distinct codes, at least one.
      query_W: Packed query, uint32.
      bits: Code length, up to `MAX_BITS`.
      distance: Their distance, up to `MAX_RADIUS`.

    Returns:
      The numbers of these codes, int64 [n].
    """
    keys = host.as_integers(distinct.codes)[:, 0]
    wanted = host.as_integers(query_W[None])[0, 0] ^ _flips(bits, distance).astype(keys.dtype)
    # In order, because neighbors share most of the cache lines of their bisection.
    wanted.sort()
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return places[keys[places] == wanted]


@functools.cache
def _flips(bits: int, distance: int) -> np.ndarray:
    """Returns all codes that have so many bits set, uint64."""
    masks = [sum(1 << bit for bit in on) for on in itertools.combinations(range(bits), distance)]
    return np.array(masks, np.uint64)
