"""Distinct codes of a database, each with the positions that have it.

Codes of a trained network repeat: of 60,000 images, a few thousand codes differ. A search among
the distinct codes sees each of them once.

Letters in the shapes: N rows of the database, D distinct codes, W words of a code, P pieces of 16
bits.
"""

from typing import NamedTuple

import numpy as np

from jhash.retrieval.search.results import ranges

_PIECE_BITS = 16


class Distinct(NamedTuple):
    """Distinct codes, ascending as integers whose lowest word is the first.

    The positions of code i are `positions[starts[i]:starts[i + 1]]`. They ascend.
    """

    codes: np.ndarray  # uint32 [D, W].
    starts: np.ndarray  # int32 [D + 1].
    positions: np.ndarray  # int32 [N].


def group(codes_NxW: np.ndarray, bits: int, live_N: np.ndarray | None) -> Distinct:
    """Groups the rows of a database by their codes.

    Args:
      codes_NxW: Packed codes, uint32.
      bits: Code length.
      live_N: Whether each row counts, bool; None for all.

    Returns:
      The distinct codes of the live rows.
    """
    positions = None
    if live_N is not None:
        positions = np.flatnonzero(live_N)
        codes_NxW = codes_NxW[positions]
    pieces_NxP = np.ascontiguousarray(codes_NxW, "<u4").view("<u2")[:, : -(-bits // _PIECE_BITS)]
    # The last key is the first to be compared. Numbers of 16 bits are sorted by radix, and stably,
    # so that the positions of a code ascend.
    order_N = np.lexsort(list(pieces_NxP.T)).astype(np.int32)
    sorted_NxW = codes_NxW[order_N]
    begins_N = np.ones(len(order_N), bool)
    begins_N[1:] = (sorted_NxW[1:] != sorted_NxW[:-1]).any(axis=1)
    starts = np.flatnonzero(begins_N)
    if positions is not None:
        order_N = positions[order_N].astype(np.int32)
    ends = np.append(starts, len(order_N)).astype(np.int32)
    return Distinct(sorted_NxW[starts], ends, order_N)


def positions_of(
    distinct: Distinct, chosen: np.ndarray, limit: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Lists the positions of some codes.

    Args:
      distinct: The distinct codes.
      chosen: Numbers of codes, int [M].
      limit: Number of positions of a code that are enough, the first ones; None for all.

    Returns:
      For each position the place of its code in `chosen`, int64 [T], and the positions, int32 [T].
    """
    starts = distinct.starts[chosen]
    counts = distinct.starts[chosen + 1] - starts
    if limit is not None:
        counts = np.minimum(counts, limit)
    return np.repeat(np.arange(len(chosen)), counts), distinct.positions[ranges(starts, counts)]


def narrow(codes: Distinct, visible_N: np.ndarray) -> Distinct:
    """Leaves positions out; a code may have none then.

    Args:
      codes: The distinct codes.
      visible_N: Whether each position stays, bool.

    Returns:
      The same codes with the positions that stay.
    """
    stays = visible_N[codes.positions]
    before = np.append(0, np.cumsum(stays)).astype(np.int32)
    return Distinct(codes.codes, before[codes.starts], codes.positions[stays])
