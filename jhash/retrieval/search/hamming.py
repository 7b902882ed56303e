"""Hamming distances and the exact nearest neighbors of packed codes.

A search goes through a tile of queries at a time, in three steps:

1. The database is cut into groups of consecutive codes, and the smallest distance within each group
   is computed. That is the only step that sees every pair of query and code. It is one loop of XOR,
   popcount and minimum, whose innermost axis, the queries, fills vector registers.
2. The k groups that are smallest by (minimum, position) are selected. The k nearest codes by
   (distance, position) lie in them: a group that is left out has k codes ahead of its own.
3. The distances of their members are computed again. The k smallest are selected and sorted.

With one query or two, the database's lanes (see `layout`) take the innermost axis.

Letters in the shapes: Q queries, N rows of the database, W words of a code, G groups per lane, L
lanes (1 or 64), S slots of selected groups, M members (rows) of a group.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from jhash.retrieval.checks import as_whole, check_queries
from jhash.retrieval.limits import WORD_BITS
from jhash.retrieval.packed import Array
from jhash.retrieval.search import selection, tiles
from jhash.retrieval.search.layout import LANE_GROUP, LANES, Prepared, prepare

# Terms of the unrolled loop over members and words in lanes: with many more it slows down.
_LANE_TERMS = 64


def hamming_distances(queries: Array, database: Array) -> jax.Array:
    """Counts the bits in which each query differs from each code of the database.

    Args:
      queries: Packed queries, uint32 [Q, words].
      database: Packed database, uint32 [N, words].

    Returns:
      int32 [Q, N], in bits.

    Raises:
      InputError: An argument does not hold packed codes, or the numbers of words differ.
    """
    queries, database = jnp.asarray(queries), jnp.asarray(database)
    check_queries(queries, "database", database)
    return _distances(queries, database)


def hamming_topk(queries: Array, database: Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Finds the k nearest codes of each query, exactly, in the order of (distance, index).

    Memory holds an array of (queries of a tile) x (N / group size), never one of Q x N. To search a
    database more than once, call `layout.prepare` and `search`, or build a `HammingIndex`.

    Args:
      queries: Packed queries, uint32 [Q, words]. Q may be 0.
      database: Packed database, uint32 [N, words].
      k: Number of results per query, 1 to N.

    Returns:
      Distances int32 [Q, k], in bits, and indices int32 [Q, k] into the database. Among equal
      distances, the lower index comes first.

    Raises:
      InputError: `k` is out of range, an argument does not hold packed codes, or the numbers of
        words differ.
    """
    check_queries(queries, "database", database)
    k = as_whole("k", k, 1, database.shape[0], "the size of the database")
    return search(prepare(database, lanes=False), queries, k)


def search(prepared: Prepared, queries: Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Finds the k nearest live codes of each query in a prepared database; see `hamming_topk`.

    Args:
      prepared: The database.
      queries: Packed queries, uint32 [Q, words]. Q may be 0.
      k: Number of results per query, 1 to the number of live codes. Beyond that, the results end
        with distances larger than any that two codes can have.

    Returns:
      Distances and positions, both int32 [Q, k], in the order of (distance, position).

    Raises:
      InputError: `k` is not 1 to the number of rows (dead ones and padding included), `queries`
        does not hold packed codes, or their number of words is not that of the database.
    """
    check_queries(queries, "prepared", prepared.rows)
    k = as_whole("k", k, 1, prepared.rows.shape[0], "the rows of the database")
    tile = tiles.search_tile_size(prepared, k, queries.shape[0])
    return tiles.over_tiles(_search, prepared, queries, tile, k=k)


def count_within(prepared: Prepared, queries: Array, radius: int) -> jax.Array:
    """Counts the live codes within a Hamming radius of each query.

    Args:
      prepared: The database.
      queries: Packed queries, uint32 [Q, words].
      radius: The largest distance that counts as within, in bits, 0 to 32 * words.

    Returns:
      int32 [Q].

    Raises:
      InputError: `radius` is out of range, `queries` does not hold packed codes, or their number of
        words is not that of the database.
    """
    check_queries(queries, "prepared", prepared.rows)
    radius = as_whole("radius", radius, 0, queries.shape[1] * WORD_BITS, "the bits of a code")
    tile = tiles.tile_size(prepared.rows.shape[0], 1, queries.shape[0])
    return tiles.over_tiles(_count_within, prepared, queries, tile, np.int32(radius))


@jax.jit
def _distances(queries_QxW, database_NxW):
    # Word by word, because an array [Q, N, W] would be many times the result.
    total_QxN = jnp.zeros((queries_QxW.shape[0], database_NxW.shape[0]), jnp.int32)
    for word in range(queries_QxW.shape[1]):
        differ_QxN = queries_QxW[:, None, word] ^ database_NxW[None, :, word]
        total_QxN += lax.population_count(differ_QxN).astype(jnp.int32)
    return total_QxN


def _search(prepared, queries_QxW, k):
    """Searches with one tile of queries; see `search`. Returns two arrays, int32 [Q, k]."""
    n, words = prepared.rows.shape
    flag = prepared.count >= 0
    size = tiles.group_size(n, k, words)

    # The groups, in lanes for a single query, else in rows.
    if queries_QxW.shape[0] == 1 and prepared.lanes.size and size >= LANE_GROUP:
        most = max(LANE_GROUP, _LANE_TERMS // words)
        size = min(size, 1 << most.bit_length() - 1)  # A power of two, as sizes of groups are.
        while len(prepared.lanes) % (size * WORD_BITS):
            size //= 2
        codes_GxMxWxL = prepared.lanes.reshape(-1, size, words, LANES)
        dead_GxL = jnp.all(prepared.dead.reshape(-1, size // LANE_GROUP, LANES), axis=1)
    else:
        codes_GxMxWxL = prepared.rows.reshape(-1, size, words, 1)
        dead_GxL = _dead_groups(prepared.live, size)[:, None]

    # The k groups with the smallest minima.
    minima_GxLxQ = selection.materialize(flag, _minima, codes_GxMxWxL, dead_GxL, queries_QxW)
    beyond = _beyond(words)
    groups_SxQ = selection.smallest(minima_GxLxQ, k, beyond, flag)
    if size == 1:
        # A group is a code, so that its minimum is the code's distance.
        in_order = functools.partial(selection.in_order, k=k)
        return selection.materialize(flag, in_order, groups_SxQ, minima_GxLxQ, groups_SxQ)

    # The k nearest of their members: member m of slot s lies at s * size + m.
    members = functools.partial(_members, size=size)
    distances, first_rows_SxQ = selection.materialize(
        flag, members, prepared, queries_QxW, groups_SxQ
    )
    chosen = selection.smallest(distances, k, beyond, flag)
    first_rows = jnp.take_along_axis(first_rows_SxQ, chosen // size, axis=0, mode="clip")
    return selection.in_order(chosen, distances, first_rows + chosen % size, k)


def _beyond(words):
    """Returns the distance that dead rows are given, which is larger than that of any two codes."""
    return words * WORD_BITS + 1


def distance_dtype(words: int) -> DTypeLike:
    """Returns the smallest dtype that holds distances of codes of so many words and `_beyond`."""
    return jnp.uint8 if _beyond(words) < 256 else jnp.uint16


def _group_distances(codes_GxMxWxL, queries_QxW):
    """Yields the distances of member 0 of all groups, then of member 1, ...: uint32 [G, L, Q]."""
    for member in range(codes_GxMxWxL.shape[1]):
        distance_GxLxQ: Any = 0
        for word in range(codes_GxMxWxL.shape[2]):
            differ_GxLxQ = codes_GxMxWxL[:, member, word, :, None] ^ queries_QxW[:, word]
            distance_GxLxQ += lax.population_count(differ_GxLxQ)
        yield distance_GxLxQ


def _minima(codes_GxMxWxL, dead_GxL, queries_QxW):
    """Computes the smallest distance within each group, uint8 or uint16 [G, L, Q]."""
    words = codes_GxMxWxL.shape[2]
    min_GxLxQ = functools.reduce(jnp.minimum, _group_distances(codes_GxMxWxL, queries_QxW))
    min_GxLxQ = jnp.where(dead_GxL[:, :, None], _beyond(words), min_GxLxQ)
    return min_GxLxQ.astype(distance_dtype(words))


def _dead_groups(live, size):
    """Marks the groups of `size` rows without a live one, bool [N / size].

    Args:
      live: Bits of the live rows, uint32 [N / 32].
      size: Number of rows of a group, a power of two.
    """
    if size >= WORD_BITS:
        return ~jnp.any(live.reshape(-1, size // WORD_BITS) != 0, axis=1)
    shifts = jnp.arange(0, WORD_BITS, size, dtype=jnp.uint32)
    return (live[:, None] >> shifts & jnp.uint32((1 << size) - 1) == 0).reshape(-1)


def _members(prepared, queries_QxW, groups_SxQ, size):
    """Computes the distances of all members of the selected groups.

    Args:
      prepared: The database.
      queries_QxW: Packed queries.
      groups_SxQ: Selected groups, int32; -1 for none.
      size: Number of rows of a group.

    Returns:
      Distances, uint8 or uint16 [S * size, 1, Q], and the first row of each group, int32 [S, Q].
    """
    words = prepared.rows.shape[1]
    rows_GxMxW = prepared.rows.reshape(-1, size, words)
    exists_SxQ = groups_SxQ >= 0
    groups_SxQ = jnp.maximum(groups_SxQ, 0)
    distance_SxQxM: Any = 0
    for word in range(words):
        codes_SxQxM = rows_GxMxW[:, :, word].at[groups_SxQ].get(mode="promise_in_bounds")
        distance_SxQxM += lax.population_count(codes_SxQxM ^ queries_QxW[:, word, None])

    # The bits of `live` for the members. A small group lies within one word; a large one spans
    # several whole words.
    first_rows_SxQ = groups_SxQ * size
    span = max(1, size // WORD_BITS)
    words_of_live = prepared.live.reshape(-1, span)
    first_words_SxQ = first_rows_SxQ // (WORD_BITS * span)
    bits = words_of_live.at[first_words_SxQ].get(mode="promise_in_bounds")
    shift_SxQxM = (first_rows_SxQ[:, :, None] + jnp.arange(size)) % WORD_BITS
    bits_SxQxM = jnp.repeat(bits, size // span, axis=2)
    live_SxQxM = bits_SxQxM >> shift_SxQxM.astype(jnp.uint32) & 1

    searched_SxQxM = (live_SxQxM == 1) & exists_SxQ[:, :, None]
    distance_SxQxM = jnp.where(searched_SxQxM, distance_SxQxM, _beyond(words))
    distance_SxMxQ = distance_SxQxM.astype(distance_dtype(words)).transpose(0, 2, 1)
    return distance_SxMxQ.reshape(-1, 1, groups_SxQ.shape[1]), first_rows_SxQ


def _count_within(prepared, queries_QxW, radius):
    """Counts within a radius for one tile of queries; see `count_within`. Returns int32 [Q]."""
    words = prepared.rows.shape[1]
    # Groups of half a word, so that the bits of a group's rows lie in one word of `live`.
    size = WORD_BITS // 2
    codes_GxMxWx1 = prepared.rows.reshape(-1, size, words, 1)

    def hits_per_group():
        """Counts the live members within the radius, uint8 [G, 1, Q]."""
        live = prepared.live[:, None] >> jnp.arange(0, WORD_BITS, size, dtype=jnp.uint32)
        live_Gx1x1 = live.reshape(-1, 1, 1)
        total_Gx1xQ: Any = 0
        distances = _group_distances(codes_GxMxWx1, queries_QxW)
        for member, distance_Gx1xQ in enumerate(distances):
            within = (distance_Gx1xQ <= radius.astype(jnp.uint32)).astype(jnp.uint32)
            total_Gx1xQ += within & live_Gx1x1 >> member
        return total_Gx1xQ.astype(jnp.uint8)

    return selection.add_up(selection.materialize(prepared.count >= 0, hits_per_group))
