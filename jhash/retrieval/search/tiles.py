"""How a search is cut into pieces: groups of codes, tiles of queries."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jhash.retrieval.search.layout import MAX_GROUP, Prepared

_TILE_QUERIES = 128
# So few queries are searched one by one, in lanes; a tile has at least the second number of them.
_FEW_QUERIES = 2
_LEAST_TILE = 16
# Terms of the unrolled loop over a group's members and words, which keeps minima in registers.
_MAX_TERMS = 256
# Elements of the largest intermediate arrays: minima of groups, and members of chosen groups.
_MAX_MINIMA = 1 << 26
_MAX_CANDIDATES = 1 << 22


def group_size(n: int, k: int, words: int) -> int:
    """Rows of a group: a power of two, so that few groups' k have few members.

    Args:
      n: Rows of the database.
      k: How many groups are selected.
      words: Of a code.
    """
    best = min((n / (2 * k)) ** 0.5, MAX_GROUP, _MAX_TERMS / words)
    return 1 << max(0, int(best).bit_length() - 1)


def tile_size(n: int, k: int, queries: int) -> int:
    """How many of the queries go through `n` rows at a time: a power of two."""
    size = group_size(n, k, 1)
    room = max(1, min(_MAX_MINIMA * size // n, _MAX_CANDIDATES // (k * size)))
    wanted = max(_LEAST_TILE, min(_TILE_QUERIES, queries))
    return min(1 << (wanted - 1).bit_length(), 1 << room.bit_length() - 1)


def search_tile_size(prepared: Prepared, k: int, queries: int) -> int:
    """The same for a search, which takes few queries one by one if the database has lanes."""
    if prepared.lanes.size and queries <= _FEW_QUERIES:
        return 1
    return tile_size(prepared.rows.shape[0], k, queries)


def over_tiles(function, prepared: Prepared, queries: jax.Array, tile: int, *args, **static):
    """Calls a function of a tile of queries until all queries are done.

    Outside of jit the calls follow each other from the host, so that one compilation serves any
    number of queries; inside, they are a loop.

    Args:
      function: Called as `function(prepared, queries, *args, **static)` with uint32 [tile, words];
        gives a pytree of arrays [tile, ...].
      prepared: The database.
      queries: Packed, uint32 [Q, words].
      tile: Queries of a call.
      *args: Arrays.
      **static: Hashable values, compiled in.

    Returns:
      The pytree, with arrays [Q, ...].
    """
    count = queries.shape[0]
    tiles = max(1, -(-count // tile))
    if isinstance(queries, jax.core.Tracer) or isinstance(prepared.rows, jax.core.Tracer):
        queries = jnp.pad(queries, ((0, tiles * tile - count), (0, 0)))
        call = functools.partial(function, **static)
        out = lax.map(lambda part: call(prepared, part, *args), queries.reshape(tiles, tile, -1))
        return jax.tree.map(lambda x: x.reshape(tiles * tile, *x.shape[2:])[:count], out)
    call = _compiled(function, tuple(static), next(iter(prepared.rows.devices())).platform)
    queries = np.asarray(queries)
    if tiles * tile > count:
        queries = np.pad(queries, ((0, tiles * tile - count), (0, 0)))
    parts = [call(prepared, part, *args, **static) for part in queries.reshape(tiles, tile, -1)]
    if count == tile:
        return parts[0]
    parts = jax.device_get(parts)
    return jax.tree.map(lambda *x: jnp.asarray(np.concatenate(x)[:count]), *parts)


@functools.cache
def _compiled(function, static, platform):
    # XLA's default is half of the widest registers; here all of them gain a fourth.
    options = {"xla_cpu_prefer_vector_width": 512} if platform == "cpu" else None
    return jax.jit(function, static_argnames=static, compiler_options=options)
