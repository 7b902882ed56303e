"""Distinct codes near a query, by multi-index hashing.

Codes are cut into m pieces of up to 16 bits, and a table per piece lists the codes that have each
value. Two codes at a distance below m * (s + 1) differ by s bits or fewer in one piece at least. So
level s looks up all values at a distance of s from each piece of the query, and after it, all codes
at distances below m * (s + 1) are known.

References:
  Norouzi, Punjani and Fleet, Fast search in Hamming space with multi-index hashing, CVPR 2012.

Letters in the shapes: D distinct codes, W words of a code, V values of a piece, F flips of a level.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jhash.retrieval.index.distinct import Distinct
from jhash.retrieval.limits import WORD_BITS
from jhash.retrieval.search import host
from jhash.retrieval.search.results import ranges

_PIECE_BITS = 16
# Nanoseconds to look up a value of a piece, and to compare the query with a code. Measured.
_LOOKUP_NS = 15
_CANDIDATE_NS = 30


class MultiIndex(NamedTuple):
    """Tables of the pieces of distinct codes.

    The codes whose piece j has the value v are `order[starts[j, v]:starts[j, v + 1]]`.
    """

    width: int  # Bits of a piece; the last one may have fewer.
    order: np.ndarray  # int32 [m * D].
    starts: np.ndarray  # int64 [m, V + 1].


def build(distinct: Distinct, bits: int) -> MultiIndex:
    """Makes the tables: 4 bytes per code and piece.

    Args:
      distinct: The distinct codes.
      bits: Code length.
    """
    width = -(-bits // -(-bits // _PIECE_BITS))
    n = len(distinct.codes)
    pieces = -(-bits // width)
    order = np.empty(pieces * n, np.int32)
    starts = np.zeros((pieces, (1 << width) + 1), np.int64)
    for piece in range(pieces):
        values_D = _piece(distinct.codes, piece, width)
        order[piece * n : (piece + 1) * n] = np.argsort(values_D, kind="stable")
        np.cumsum(np.bincount(values_D, minlength=1 << width), out=starts[piece, 1:])
        starts[piece] += piece * n
    return MultiIndex(width, order, starts)


def rings(
    tables: MultiIndex, distinct: Distinct, query_W: np.ndarray, nanoseconds: float
) -> Iterator[np.ndarray]:
    """Yields the codes at distance 0, at distance 1, ... from a query, until they cost too much.

    Args:
      tables: Tables of these codes.
      distinct: The distinct codes.
      query_W: Packed query, uint32.
      nanoseconds: The time after which to end, estimated before it is spent.

    Yields:
      The numbers of the codes at one distance, int [n], ascending.
    """
    codes_DxV = host.as_integers(distinct.codes)
    query_V = host.as_integers(query_W[None])[0]
    pieces = len(tables.starts)
    starts_mV = tables.starts.reshape(-1)
    values_m = [int(_piece(query_W[None], piece, tables.width)[0]) for piece in range(pieces)]
    # Where the entries of each table begin among those of all.
    first_m = np.arange(pieces) * tables.starts.shape[1]
    later = np.empty(0, np.int32)
    later_distances = np.empty(0, np.uint16)
    for level in range(tables.width + 1):
        flips_F = _flips(tables.width, level)
        nanoseconds -= _LOOKUP_NS * pieces * len(flips_F)
        if nanoseconds < 0:
            return
        values_mxF = first_m[:, None] + (np.array(values_m)[:, None] ^ flips_F)
        starts_mF = starts_mV[values_mxF].reshape(-1)
        counts_mF = starts_mV[values_mxF + 1].reshape(-1) - starts_mF
        nanoseconds -= _CANDIDATE_NS * int(counts_mF.sum())
        if nanoseconds < 0:
            return
        near = tables.order[ranges(starts_mF, counts_mF)]
        distances = np.bitwise_count(codes_DxV[near] ^ query_V).sum(axis=1, dtype=np.uint16)
        # Those of earlier levels that were too far away then.
        later = np.concatenate([later, near])
        later_distances = np.concatenate([later_distances, distances])
        for distance in range(pieces * level, pieces * (level + 1)):
            # A code is found once per piece that is near.
            yield np.unique(later[later_distances == distance])
        beyond = later_distances >= pieces * (level + 1)
        later = later[beyond]
        later_distances = later_distances[beyond]


def _piece(codes_DxW, piece, width):
    """Returns the values of a piece, uint16 [D]."""
    word, shift = divmod(piece * width, WORD_BITS)
    value_D = codes_DxW[:, word] >> np.uint32(shift)
    if shift + width > WORD_BITS and word + 1 < codes_DxW.shape[1]:
        value_D = value_D | codes_DxW[:, word + 1] << np.uint32(WORD_BITS - shift)
    return (value_D & np.uint32((1 << width) - 1)).astype(np.uint16)


@functools.cache
def _flips(width: int, level: int) -> np.ndarray:
    """Returns all values of a piece that have so many bits set, int64."""
    masks = [sum(1 << bit for bit in on) for on in itertools.combinations(range(width), level)]
    return np.array(masks, np.int64)
