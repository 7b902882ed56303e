"""Sizes of a search's pieces, groups of rows and tiles of queries, and the loop over the tiles."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jhash.retrieval.packed import Array
from jhash.retrieval.search.layout import MAX_GROUP, Prepared

# Bounds of the number of queries in a tile, apart from single queries.
_MIN_TILE = 16
_MAX_TILE = 128
# Up to so many queries are searched one by one, in lanes.
_FEW_QUERIES = 2
# Terms of the unrolled loop over a group's members and words, which keeps minima in registers.
_MAX_TERMS = 256
# Elements of the largest intermediate arrays: minima of groups, and members of chosen groups.
_MAX_MINIMA = 1 << 26
_MAX_CANDIDATES = 1 << 22


def group_size(n: int, k: int, words: int) -> int:
    """Chooses the number of rows of a group: a power of two, 1 to 64.

    Large groups have few minima, among which k are selected. Small groups have few members, among
    which k are selected again. A group has up to sqrt(n / (2 k)) rows.

    Args:
      n: Number of rows of the database.
      k: Number of groups that are selected.
      words: Number of words of a code.

    Returns:
      The number of rows.
    """
    best = min((n / (2 * k)) ** 0.5, MAX_GROUP, _MAX_TERMS / words)
    return 1 << max(0, int(best).bit_length() - 1)


def tile_size(n: int, k: int, queries: int) -> int:
    """Chooses the number of queries that are searched at a time, a power of two.

    Args:
      n: Number of rows of the database.
      k: Number of results per query.
      queries: Number of all queries.

    Returns:
      The number of queries of a tile: 16 to 128, depending on the number of all queries, and fewer
      where memory demands it.
    """
    size = group_size(n, k, 1)
    room = max(1, min(_MAX_MINIMA * size // n, _MAX_CANDIDATES // (k * size)))
    wanted = max(_MIN_TILE, min(_MAX_TILE, queries))
    return min(1 << (wanted - 1).bit_length(), 1 << room.bit_length() - 1)


def search_tile_size(prepared: Prepared, k: int, queries: int) -> int:
    """Chooses the number of queries that are searched at a time, lanes considered.

    Args:
      prepared: The database.
      k: Number of results per query.
      queries: Number of all queries.

    Returns:
      1 for one query or two if the database has lanes; else the result of `tile_size`.
    """
    if prepared.lanes.size and queries <= _FEW_QUERIES:
        return 1
    return tile_size(prepared.rows.shape[0], k, queries)


def over_tiles(
    function: Callable[..., Any],
    prepared: Prepared,
    queries: Array,
    tile: int,
    *args: Any,
    **static: Any,
) -> Any:
    """Calls a function of a tile of queries until all queries are done.

    Outside of jit, the host makes one call after the other, so that one compilation serves any
    number of queries. Inside of jit, the calls are a loop.

    Args:
      function: Function that is called as `function(prepared, queries, *args, **static)` with
        queries uint32 [tile, words], and returns a pytree of arrays [tile, ...].
      prepared: The database.
      queries: Packed queries, uint32 [Q, words].
      tile: Number of queries per call.
      *args: Further arguments of the function, arrays.
      **static: Further arguments of the function, hashable values that are compiled in.

    Returns:
      The pytree, with arrays [Q, ...].
    """
    count = queries.shape[0]
    tiles = max(1, -(-count // tile))
    padding = ((0, tiles * tile - count), (0, 0))
    if isinstance(queries, jax.core.Tracer) or isinstance(prepared.rows, jax.core.Tracer):
        queries = jnp.pad(queries, padding)
        call = functools.partial(function, **static)
        results = lax.map(
            lambda tile_queries: call(prepared, tile_queries, *args),
            queries.reshape(tiles, tile, -1),
        )
        return jax.tree.map(lambda x: x.reshape(tiles * tile, *x.shape[2:])[:count], results)
    call = _compiled(function, tuple(static), next(iter(prepared.rows.devices())).platform)
    queries = np.asarray(queries)
    if tiles * tile > count:
        queries = np.pad(queries, padding)
    results = [
        call(prepared, tile_queries, *args, **static)
        for tile_queries in queries.reshape(tiles, tile, -1)
    ]
    if count == tile:
        return results[0]
    results = jax.device_get(results)
    return jax.tree.map(lambda *x: jnp.asarray(np.concatenate(x)[:count]), *results)


@functools.cache
def _compiled(function, static, platform):
    # By default, XLA uses vectors of half the full width. At full width, searches
    # are a quarter faster.
    options = {"xla_cpu_prefer_vector_width": 512} if platform == "cpu" else None
    return jax.jit(function, static_argnames=static, compiler_options=options)
