"""Memory layout of a database of packed codes while it is searched.

A search computes the smallest distance within groups of consecutive rows. Many queries are compared
with a row at a time, from `rows`. A single query is compared with 64 rows at a time, from `lanes`,
which holds the same codes again, as 64 lanes side by side.

Letters in the shapes: N rows (padded), W words of a code, M replaced rows, P = N / 64 places of a
lane, and 64 for the rows of a block or the lanes.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError
from jhash.retrieval.limits import WORD_BITS
from jhash.retrieval.packed import Array, check_packed

# Groups of consecutive rows have powers of two as sizes, up to this.
MAX_GROUP = 64
# Number of lanes, with which a single query fills vector registers.
LANES = 64
# The smallest group of rows within a lane.
LANE_GROUP = 4
# The number of rows is padded to a multiple of one of these, so that the number of groups is a
# multiple of 32: for groups of 64 rows without lanes, of 16 rows with lanes, and of 64 rows with
# lanes where the database is so large that the padding adds little.
_UNIT = MAX_GROUP * WORD_BITS
_LANES_UNIT = LANES * 16 * WORD_BITS
_LARGE = 1 << 19
_LARGE_UNIT = LANES * MAX_GROUP * WORD_BITS


class Prepared(NamedTuple):
    """A database laid out for searching. Positions are those of the codes given to `prepare`.

    A row is live when it is searched. Any other row holds a copy of a live row, so that it does not
    change the smallest distance within a group. The copy is of a row in the smallest aligned block
    (of 2, 4, ..., 64 rows) that has a live one. Where a block of 64 rows has none, its rows may
    hold anything.
    """

    rows: jax.Array  # uint32 [N, W].
    lanes: jax.Array  # uint32 [P, W, 64]: lane j holds the rows from j * P on. Or empty.
    dead: jax.Array  # bool [P / 4, 64]: whether none of 4 consecutive rows of a lane is live.
    live: jax.Array  # uint32 [N / 32]: bit i of word j is set when row 32 * j + i is live.
    count: jax.Array  # type: ignore[assignment]  # int32: number of live rows.


def prepare(codes: Array, live: Array | None = None, lanes: bool = True) -> Prepared:
    """Lays out a database for searching; takes about twice the memory of the codes.

    The layout is compiled once per padded size. Sizes are padded to multiples of 2,048 rows up to
    16,384 rows (or without lanes), of 32,768 up to 524,288, then of 131,072.

    Args:
      codes: Packed codes, uint32 [N, words]; N is at least 1.
      live: Whether each row is searched, bool [N]; None for all.
      lanes: Whether to add the layout with which a single query is searched faster. A small
        database does not get it. Without it, half the memory is enough.

    Returns:
      The database, for `hamming.search`, `hamming.count_within` and `replace`.

    Raises:
      InputError: `codes` does not hold packed codes, or holds none, or `live` has another shape.
    """
    check_packed("codes", codes)
    n = codes.shape[0]
    if not n:
        raise InputError("codes: none given; allowed: at least one.")
    lanes = lanes and n > _LANES_UNIT // 2
    unit = (_LARGE_UNIT if n > _LARGE else _LANES_UNIT) if lanes else _UNIT
    # What NumPy holds is padded by NumPy, which compiles nothing per number of rows.
    xp = np if isinstance(codes, np.ndarray) else jnp
    codes = xp.pad(codes, ((0, -n % unit), (0, 0)))
    if live is None:
        return _prepare(codes, n, lanes)
    if live.shape != (n,) or live.dtype != bool:
        raise InputError(f"live: {live.dtype}{list(live.shape)} given; allowed: bool [{n}].")
    xp = np if isinstance(live, np.ndarray) else jnp
    return _prepare_some(codes, xp.pad(live, (0, -n % unit)), lanes)


def replace(prepared: Prepared, positions: Array, codes: Array, live: Array) -> Prepared:
    """Returns a database in which some rows are replaced; the given one stays as it is.

    The replacement is compiled once per power of two to which M is rounded up.

    Args:
      prepared: The database.
      positions: Positions of the rows, distinct ints [M]. Those of padding are allowed.
      codes: Packed codes for these rows, uint32 [M, words].
      live: Whether each of these rows is searched from now on, bool [M].

    Returns:
      A database of the same size.
    """
    n, m = prepared.rows.shape[0], len(positions)
    padding = (1 << max(0, m - 1).bit_length()) - m
    # Positions behind the last row are dropped.
    positions = np.pad(np.asarray(positions, np.int32), (0, padding), constant_values=n)
    codes = np.pad(np.asarray(codes), ((0, padding), (0, 0)))
    return _replace(prepared, positions, codes, np.pad(np.asarray(live, bool), (0, padding)))


@functools.partial(jax.jit, static_argnames="lanes")
def _prepare(codes_NxW, count, lanes):
    """Lays out a database whose first `count` rows are live."""
    live_N = jnp.arange(codes_NxW.shape[0]) < count
    rows_NxW = jnp.where(live_N[:, None], codes_NxW, codes_NxW[count - 1])
    return _lay_out(rows_NxW, live_N, lanes)


@functools.partial(jax.jit, static_argnames="lanes")
def _prepare_some(codes_NxW, live_N, lanes):
    """Lays out a database with any rows live."""
    return _lay_out(codes_NxW[_stand_ins(live_N)], live_N, lanes)


def _lay_out(rows_NxW, live_N, lanes):
    """Makes a `Prepared` of rows that hold stand-ins already."""
    n, words = rows_NxW.shape
    used = n if lanes else 0
    places = used // LANES
    lanes_PxWx64 = rows_NxW[:used].reshape(LANES, places, words).transpose(1, 2, 0)
    live_64xGx4 = live_N[:used].reshape(LANES, places // LANE_GROUP, LANE_GROUP)
    shifts = jnp.arange(WORD_BITS, dtype=jnp.uint32)
    bits = live_N.reshape(-1, WORD_BITS).astype(jnp.uint32) << shifts
    return Prepared(
        rows=rows_NxW,
        lanes=lanes_PxWx64,
        dead=~jnp.any(live_64xGx4, axis=2).T,
        live=jnp.sum(bits, axis=1, dtype=jnp.uint32),
        count=jnp.sum(live_N, dtype=jnp.int32),
    )


def _stand_ins(live):
    """Finds a live row for each row, from the smallest aligned block that has one.

    Args:
      live: bool [..., N], N a multiple of 64.

    Returns:
      Index of the live row, int32 [..., N]; that of the row itself if it is live, and 0 if no row
      of its aligned block of 64 is live.
    """
    n = live.shape[-1]
    source = jnp.where(live, jnp.arange(n, dtype=jnp.int32), -1)
    size = 2
    while size <= MAX_GROUP:
        blocks = source.reshape(*source.shape[:-1], n // size, size)
        filled = jnp.where(blocks < 0, jnp.max(blocks, axis=-1, keepdims=True), blocks)
        source = filled.reshape(source.shape)
        size *= 2
    return jnp.maximum(source, 0)


@jax.jit
def _replace(prepared, positions_M, codes_MxW, live_M):
    # The replaced rows themselves, and their bits of `live`.
    n = prepared.rows.shape[0]
    rows_NxW = prepared.rows.at[positions_M].set(codes_MxW, mode="drop")
    word_M = positions_M // WORD_BITS
    bit_M = (positions_M % WORD_BITS).astype(jnp.uint32)
    was_live_M = prepared.live.at[word_M].get(mode="clip") >> bit_M & 1
    # The difference is added, so that several bits of one word can change.
    change_M = (live_M.astype(jnp.uint32) - was_live_M) << bit_M
    live_bits = prepared.live.at[word_M].add(change_M, mode="drop")
    added_M = live_M.astype(jnp.int32) - was_live_M.astype(jnp.int32)
    added_M = jnp.where(positions_M < n, added_M, 0)

    # The aligned block of 64 rows around each replaced row: its stand-ins are chosen again.
    first_M = positions_M // MAX_GROUP * MAX_GROUP
    block_Mx64 = first_M[:, None] + jnp.arange(MAX_GROUP)
    word_live_Mx64 = live_bits.at[block_Mx64 // WORD_BITS].get(mode="clip")
    shift_Mx64 = (block_Mx64 % WORD_BITS).astype(jnp.uint32)
    live_Mx64 = (word_live_Mx64 >> shift_Mx64 & 1).astype(bool)
    filled_Mx64xW = rows_NxW.at[first_M[:, None] + _stand_ins(live_Mx64)].get(mode="clip")
    rows_NxW = rows_NxW.at[block_Mx64].set(filled_Mx64xW, mode="drop")

    # The same blocks in the lanes.
    lanes, dead = prepared.lanes, prepared.dead
    if lanes.size:
        lane_Mx64 = block_Mx64 // len(lanes)
        place_Mx64 = block_Mx64 % len(lanes)
        lanes = lanes.at[place_Mx64, :, lane_Mx64].set(filled_Mx64xW, mode="drop")
        live_MxGx4 = live_Mx64.reshape(-1, MAX_GROUP // LANE_GROUP, LANE_GROUP)
        group_lane_MxG = lane_Mx64[:, ::LANE_GROUP]
        group_MxG = place_Mx64[:, ::LANE_GROUP] // LANE_GROUP
        dead = dead.at[group_MxG, group_lane_MxG].set(~jnp.any(live_MxGx4, axis=2), mode="drop")
    return Prepared(rows_NxW, lanes, dead, live_bits, prepared.count + jnp.sum(added_M))
