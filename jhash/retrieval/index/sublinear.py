"""Exact search for one query that sees few of the codes, on the distinct codes of a database.

Codes are found ring by ring: all at distance 0, then all at distance 1, ... Rings come from a ball
that is looked up (`ball`), from multi-index hashing (`multi_index`), or from a scan where there are
few distinct codes. A search ends as soon as it has enough. Where its rings would cost a good part
of the time of a plain scan, it gives up.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jhash.retrieval.index import ball, distinct, multi_index
from jhash.retrieval.index.distinct import Distinct
from jhash.retrieval.index.multi_index import MultiIndex
from jhash.retrieval.search import host

# Up to so many distinct codes are scanned.
_FEW = 1 << 15
# Codes of the database with which the structure tries itself out, and the share of them for which a
# search must not give up.
_TRIALS = 64
_SHARE = 0.9


class Sublinear(NamedTuple):
    """Distinct codes, tables of them, and how far searches come before they give up."""

    bits: int  # Code length.
    distinct: Distinct
    tables: MultiIndex | None  # None for few codes.
    nanoseconds: float  # What the rings of multi-index hashing may cost per search.
    reached_radius: int  # All codes within this distance are found, for most queries.
    reached_codes: int  # So many nearest codes are found, for most queries.


def build(codes: Distinct, bits: int, nanoseconds: float) -> Sublinear:
    """Makes the tables, and tries them out with codes of the database as queries.

    Args:
      codes: Distinct codes, at least one.
      bits: Code length.
      nanoseconds: What the rings of multi-index hashing may cost per search.

    Returns:
      The structure for `find`.
    """
    if len(codes.codes) <= _FEW:
        return Sublinear(bits, codes, None, nanoseconds, bits, len(codes.positions))
    tables = multi_index.build(codes, bits)
    built = Sublinear(bits, codes, tables, nanoseconds, 0, 0)
    sizes_D = np.diff(codes.starts)
    radii = np.full(_TRIALS, -1)
    # A query of the database finds itself, which others do not.
    counts = np.full(_TRIALS, -1)
    places = np.linspace(0, len(codes.positions) - 1, _TRIALS).astype(int)
    for trial, number in enumerate(np.searchsorted(codes.starts, places, side="right") - 1):
        for ring in _rings(built, codes.codes[number]):
            radii[trial] += 1
            counts[trial] += sizes_D[ring].sum()
    radius, count = (
        int(np.quantile(reached, 1 - _SHARE, method="lower")) for reached in (radii, counts)
    )
    return built._replace(reached_radius=radius, reached_codes=count)


def serves(structure: Sublinear, k: int | None, radius: int) -> bool:
    """Tells if a search will probably not give up; the arguments are those of `find`."""
    within_reach = k is not None and k <= structure.reached_codes
    return within_reach or radius <= structure.reached_radius


def find(
    structure: Sublinear,
    query_W: np.ndarray,
    k: int | None,
    radius: int,
    visible_N: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Finds the nearest codes of a query, with the results that a scan has.

    Args:
      structure: The distinct codes.
      query_W: Packed query, uint32.
      k: Number of results; None for all within the radius.
      radius: The largest distance of a result, 0 to the code length.
      visible_N: Whether each position is searched, bool; None for all.

    Returns:
      Distances int32 [n] and positions int32 [n], in the order of (distance, position); n is k, or
      the number of matches if that is smaller. None if the search gave up.
    """
    distances = []
    positions = []
    missing = len(structure.distinct.positions) if k is None else k
    for distance, codes in enumerate(_rings(structure, query_W)):
        if len(codes):
            ring = _positions(structure.distinct, codes, missing, visible_N)
            distances.append(np.full(len(ring), distance, np.int32))
            positions.append(ring)
            missing -= len(ring)
        if distance == radius or not missing:
            if not positions:
                return np.empty(0, np.int32), np.empty(0, np.int32)
            return np.concatenate(distances), np.concatenate(positions)
    return None


def _positions(codes, ring, limit, visible_N):
    """Returns the first positions that have one of some codes, ascending."""
    _, positions = distinct.positions_of(codes, ring, limit if visible_N is None else None)
    if visible_N is not None:
        positions = positions[visible_N[positions]]
    if len(ring) > 1:
        positions = np.sort(positions)
    return positions[:limit]


def _rings(structure: Sublinear, query_W: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the codes at distance 0, at distance 1, ..., as long as they cost little."""
    if structure.tables is None:
        distances_D = host.distances(query_W, structure.distinct.codes)
        order = np.argsort(distances_D, kind="stable")
        ends = np.searchsorted(distances_D[order], np.arange(structure.bits + 1), side="right")
        yield from np.split(order, ends)[:-1]
        return
    looked_up = ball.MAX_RADIUS if structure.bits <= ball.MAX_BITS else 0
    known = 0
    # Two rings of the ball take less time than the first level of the tables.
    while known < looked_up:
        yield ball.ring(structure.distinct, query_W, structure.bits, known)
        known += 1
    rings = multi_index.rings(structure.tables, structure.distinct, query_W, structure.nanoseconds)
    for distance, ring in enumerate(rings):
        if distance >= known:
            yield ring
            known += 1
    if known == looked_up and looked_up:
        yield ball.ring(structure.distinct, query_W, structure.bits, known)
