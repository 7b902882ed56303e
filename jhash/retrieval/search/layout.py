"""How a database of packed codes lies in memory while it is searched."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError
from jhash.retrieval.codes import WORD_BITS, check_packed

# Groups of consecutive rows have powers of two as sizes, up to this.
MAX_GROUP = 64
# Shards that a single query fills vector registers with, and the least group within one.
LANES = 64
LANE_GROUP = 4
# Rows are padded to a multiple, so that groups of a size come in multiples of 32: groups of 64
# without lanes, of 16 with lanes, of 64 again where that adds little.
_UNIT = MAX_GROUP * WORD_BITS
_LANES_UNIT = LANES * 16 * WORD_BITS
_LARGE = 1 << 19
_LARGE_UNIT = LANES * MAX_GROUP * WORD_BITS


class Prepared(NamedTuple):
    """A database laid out for searching. Positions are those of the codes given to `prepare`.

    A row that is not live holds a copy of a live one from the smallest aligned block (of 2, 4, ...
    rows) that has any, so that it does not change the least distance of a group.
    """

    rows: jax.Array  # uint32 [N, words], N padded.
    lanes: jax.Array  # uint32 [N / 64, words, 64], or empty: lane j holds rows from j * N / 64 on.
    dead: jax.Array  # bool [N / 64 / 4, 64]: none of 4 consecutive rows of a lane is live.
    live: jax.Array  # uint32 [N / 32]: bit i of word j is set when row 32 * j + i is live.
    count: jax.Array  # int32: how many rows are live.


def prepare(codes: jax.Array, live: jax.Array | None = None, lanes: bool = True) -> Prepared:
    """Lays a database out for searching; takes about twice the codes' memory.

    Args:
      codes: Packed, uint32 [N, words]; N at least 1.
      live: bool [N]: rows that are searched; all, if None.
      lanes: Whether to add the layout with which single queries are searched faster, unless the
        database is small; without it half the memory is enough.

    Returns:
      The database for `hamming.search`, `hamming.count_within` and `replace`. Compiled once for
      every padded size: multiples of 2,048 rows up to 16,384 (or without lanes), of 32,768 up to
      524,288, then of 131,072.

    Raises:
      InputError: Not packed codes, none, or `live` of another shape.
    """
    check_packed("codes", codes)
    n = codes.shape[0]
    if not n:
        raise InputError("codes: got none; a database has at least one.")
    lanes = lanes and n > _LANES_UNIT // 2
    unit = (_LARGE_UNIT if n > _LARGE else _LANES_UNIT) if lanes else _UNIT
    # NumPy pads without being compiled for each number of rows.
    xp = np if isinstance(codes, np.ndarray) else jnp
    codes = xp.pad(codes, ((0, -n % unit), (0, 0)))
    if live is None:
        return _prepare(codes, n, lanes)
    if live.shape != (n,) or live.dtype != bool:
        raise InputError(f"live: got {live.dtype}{list(live.shape)}; allowed is bool [{n}].")
    xp = np if isinstance(live, np.ndarray) else jnp
    return _prepare_some(codes, xp.pad(live, (0, -n % unit)), lanes)


def replace(prepared: Prepared, positions, codes, live) -> Prepared:
    """Puts other rows into a database, which itself is left as it is.

    Args:
      prepared: The database.
      positions: int [M], distinct, among the rows of the database, padding included.
      codes: Packed, uint32 [M, words].
      live: bool [M]: whether the row is searched from now on.

    Returns:
      A database of the same size. Compiled for powers of two of M.
    """
    n, m = prepared.rows.shape[0], len(positions)
    spare = (1 << max(0, m - 1).bit_length()) - m
    # Positions behind the last row are dropped.
    positions = np.pad(np.asarray(positions, np.int32), (0, spare), constant_values=n)
    codes = np.pad(np.asarray(codes), ((0, spare), (0, 0)))
    return _replace(prepared, positions, codes, np.pad(np.asarray(live, bool), (0, spare)))


@functools.partial(jax.jit, static_argnames="lanes")
def _prepare(codes, count, lanes):
    live = jnp.arange(codes.shape[0]) < count
    rows = jnp.where(live[:, None], codes, codes[count - 1])
    return _lay_out(rows, live, lanes)


@functools.partial(jax.jit, static_argnames="lanes")
def _prepare_some(codes, live, lanes):
    return _lay_out(codes[_stand_ins(live)], live, lanes)


def _lay_out(rows, live, lanes):
    n, words = rows.shape
    used = n if lanes else 0
    by_lane = rows[:used].reshape(LANES, used // LANES, words).transpose(1, 2, 0)
    groups = live[:used].reshape(LANES, used // LANES // LANE_GROUP, LANE_GROUP)
    bits = live.reshape(-1, WORD_BITS).astype(jnp.uint32) << jnp.arange(WORD_BITS, dtype=jnp.uint32)
    return Prepared(
        rows,
        by_lane,
        ~jnp.any(groups, axis=2).T,
        jnp.sum(bits, axis=1, dtype=jnp.uint32),
        jnp.sum(live, dtype=jnp.int32),
    )


def _stand_ins(live):
    """For every row a live one from the smallest aligned block that has any: int32 [..., N]."""
    n = live.shape[-1]
    source = jnp.where(live, jnp.arange(n, dtype=jnp.int32), -1)
    size = 2
    while size <= MAX_GROUP:
        blocks = source.reshape(*source.shape[:-1], n // size, size)
        filled = jnp.where(blocks < 0, jnp.max(blocks, axis=-1, keepdims=True), blocks)
        source, size = filled.reshape(source.shape), 2 * size
    return jnp.maximum(source, 0)


@jax.jit
def _replace(prepared, positions, codes, live):
    n = prepared.rows.shape[0]
    rows = prepared.rows.at[positions].set(codes, mode="drop")
    word, bit = positions // WORD_BITS, (positions % WORD_BITS).astype(jnp.uint32)
    was_live = prepared.live.at[word].get(mode="clip") >> bit & 1
    # Adding the difference, several bits of one word can change.
    change = (live.astype(jnp.uint32) - was_live) << bit
    bits = prepared.live.at[word].add(change, mode="drop")
    changes = jnp.where(positions < n, live.astype(jnp.int32) - was_live.astype(jnp.int32), 0)

    first = positions // MAX_GROUP * MAX_GROUP
    block = first[:, None] + jnp.arange(MAX_GROUP)
    block_live = bits.at[block // WORD_BITS].get(mode="clip")
    block_live = (block_live >> (block % WORD_BITS).astype(jnp.uint32) & 1).astype(bool)
    filled = rows.at[first[:, None] + _stand_ins(block_live)].get(mode="clip")
    rows = rows.at[block].set(filled, mode="drop")

    lanes, dead = prepared.lanes, prepared.dead
    if lanes.size:
        lane, place = block // len(lanes), block % len(lanes)
        lanes = lanes.at[place, :, lane].set(filled, mode="drop")
        groups = block_live.reshape(-1, MAX_GROUP // LANE_GROUP, LANE_GROUP)
        lane, place = lane[:, ::LANE_GROUP], place[:, ::LANE_GROUP] // LANE_GROUP
        dead = dead.at[place, lane].set(~jnp.any(groups, axis=2), mode="drop")
    return Prepared(rows, lanes, dead, bits, prepared.count + jnp.sum(changes))
