"""Hamming distances and the exact nearest neighbours of packed codes."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jhash.errors import InputError
from jhash.retrieval.codes import MAX_BITS, check_packed

# Queries x candidates that are in memory at a time.
_TILE_ELEMENTS = 1 << 21
_TILE_DATABASE = 8192
_TILE_QUERIES = 128


def hamming_distances(queries: jax.Array, database: jax.Array) -> jax.Array:
    """Counts the bits in which every query differs from every code of the database.

    Args:
      queries: Packed, uint32 [Q, words].
      database: Packed, uint32 [N, words].

    Returns:
      int32 [Q, N].

    Raises:
      InputError: Not packed codes, or codes of different lengths.
    """
    queries, database = _check(queries, database)
    return _distances(queries, database)


def hamming_topk(queries: jax.Array, database: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Finds the k nearest codes of every query, exactly, ordered by (distance, index).

    The database is scanned in tiles and the best k so far are carried along, so that memory
    holds queries x (tile + k), never queries x database.

    Args:
      queries: Packed, uint32 [Q, words]. Q may be 0.
      database: Packed, uint32 [N, words].
      k: How many, 1 to N.

    Returns:
      Distances int32 [Q, k], in bits, and indices int32 [Q, k] into the database. Among equal
      distances the lower index comes first.

    Raises:
      InputError: k is out of range, not packed codes, or codes of different lengths.
    """
    queries, database = _check(queries, database)
    if not 1 <= k <= database.shape[0]:
        raise InputError(f"k: got {k}; allowed are 1 to {database.shape[0]}, the database's size.")
    return _topk(queries, database, k)


def _check(queries: jax.Array, database: jax.Array) -> tuple[jax.Array, jax.Array]:
    queries, database = jnp.asarray(queries), jnp.asarray(database)
    check_packed("queries", queries)
    check_packed("database", database)
    if queries.shape[1] != database.shape[1]:
        raise InputError(
            f"queries: got {queries.shape[1]} words a code and {database.shape[1]} in database; "
            "both must be packed from the same number of bits."
        )
    return queries, database


@jax.jit
def _distances(a: jax.Array, b: jax.Array) -> jax.Array:
    # Word by word: [Q, N, words] would be many times the result.
    total = jnp.zeros((a.shape[0], b.shape[0]), jnp.int32)
    for word in range(a.shape[1]):
        differ = lax.population_count(a[:, None, word] ^ b[None, :, word])
        total += differ.astype(jnp.int32)
    return total


@functools.partial(jax.jit, static_argnames="k")
def _topk(queries: jax.Array, database: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    n, words = database.shape
    # A tile is at least k wide, so that carrying k along at most doubles the work.
    width = min(n, max(k, _TILE_DATABASE))
    tiles = -(-n // width)
    height = max(1, min(queries.shape[0], _TILE_QUERIES, _TILE_ELEMENTS // width))
    blocks = -(-queries.shape[0] // height)
    database = jnp.pad(database, ((0, tiles * width - n), (0, 0))).reshape(tiles, width, words)
    padded = jnp.pad(queries, ((0, blocks * height - queries.shape[0]), (0, 0)))
    starts = jnp.arange(tiles, dtype=jnp.int32) * width

    def search(block: jax.Array) -> tuple[jax.Array, jax.Array]:
        def merge(best, tile):
            near, ids = best
            codes, start = tile
            index = start + jnp.arange(width, dtype=jnp.int32)
            # float32 holds these integers, and its top_k is a partial sort where int32's is a
            # full one. It is stable, and what is carried has the lower indices: ties stay in order.
            distance = _distances(block, codes).astype(jnp.float32)
            distance = jnp.where(index < n, distance, MAX_BITS + 1)
            near = jnp.concatenate([near, distance], axis=1)
            ids = jnp.concatenate([ids, jnp.broadcast_to(index, distance.shape)], axis=1)
            negated, place = lax.top_k(-near, k)
            return (-negated, jnp.take_along_axis(ids, place, axis=1)), None

        # Placeholders rank behind every code, and k <= n leaves none of them.
        empty = (
            jnp.full((height, k), MAX_BITS + 1, jnp.float32),
            jnp.zeros((height, k), jnp.int32),
        )
        return lax.scan(merge, empty, (database, starts))[0]

    near, ids = lax.map(search, padded.reshape(blocks, height, words))
    rows = queries.shape[0]
    near = near.reshape(blocks * height, k)[:rows]
    return near.astype(jnp.int32), ids.reshape(blocks * height, k)[:rows]
