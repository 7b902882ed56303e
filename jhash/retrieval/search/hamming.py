"""Hamming distances and the exact nearest neighbours of packed codes.

A search goes through a tile of queries at a time, in three steps:

1. The database is cut into groups of consecutive codes, and the least distance within each group
   is computed. That is the only step that sees every pair, and it is one loop of XOR, popcount and
   minimum whose innermost axis, the queries, fills vector registers.
2. The k groups that are least by (minimum, position) are selected. The k nearest codes by
   (distance, position) lie in them: a group left out has k codes ahead of its own.
3. Their members' distances are computed again, the k smallest selected, and sorted.

With one query or two, the database's lanes take their place on the innermost axis.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jhash.errors import InputError
from jhash.retrieval.checks import as_whole
from jhash.retrieval.codes import WORD_BITS, check_packed
from jhash.retrieval.search import selection, tiles
from jhash.retrieval.search.layout import LANE_GROUP, LANES, Prepared, prepare

# Terms of the unrolled loop over members and words in lanes: with many more it slows down.
_LANE_TERMS = 64


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
    queries, database = jnp.asarray(queries), jnp.asarray(database)
    check(queries, "database", database)
    return _distances(queries, database)


def hamming_topk(queries: jax.Array, database: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Finds the k nearest codes of every query, exactly, ordered by (distance, index).

    Memory holds a tile of queries x (database / group size), never queries x database. To search
    a database more than once, `layout.prepare` it, or build a `HammingIndex`.

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
    check(queries, "database", database)
    k = as_whole("k", k, 1, database.shape[0], "the database's size")
    return search(prepare(database, lanes=False), queries, k)


def search(prepared: Prepared, queries: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Finds the k nearest live codes of every query; see `hamming_topk`.

    Args:
      prepared: The database.
      queries: Packed, uint32 [Q, words].
      k: How many, 1 to the number of live codes. Were there fewer, distances of more bits than a
        code has would follow.

    Returns:
      Distances and positions, both int32 [Q, k], ordered by (distance, position).

    Raises:
      InputError: k is not 1 to the number of rows, dead ones and padding included; not packed
        codes, or codes of another length than the database's.
    """
    check(queries, "prepared", prepared.rows)
    k = as_whole("k", k, 1, prepared.rows.shape[0], "the database's rows")
    tile = tiles.search_tile_size(prepared, k, queries.shape[0])
    return tiles.over_tiles(_search, prepared, queries, tile, k=k)


def count_within(prepared: Prepared, queries: jax.Array, radius: int) -> jax.Array:
    """Counts the live codes within a Hamming radius of every query.

    Args:
      prepared: The database.
      queries: Packed, uint32 [Q, words].
      radius: In bits, 0 to the bits of a code's words; the radius itself is within.

    Returns:
      int32 [Q].

    Raises:
      InputError: The radius is out of range, not packed codes, or codes of another length than
        the database's.
    """
    check(queries, "prepared", prepared.rows)
    radius = as_whole("radius", radius, 0, queries.shape[1] * WORD_BITS, "a code's bits")
    tile = tiles.tile_size(prepared.rows.shape[0], 1, queries.shape[0])
    return tiles.over_tiles(_count_within, prepared, queries, tile, np.int32(radius))


def check(queries: jax.Array, name: str, database: jax.Array) -> None:
    """Raises InputError unless both hold packed codes of the same number of words."""
    check_packed("queries", queries)
    check_packed(name, database)
    if queries.shape[1] != database.shape[1]:
        raise InputError(
            f"queries: got {queries.shape[1]} words a code and {database.shape[1]} in {name}; "
            "both must be packed from the same number of bits."
        )


@jax.jit
def _distances(a, b):
    # Word by word: [Q, N, words] would be many times the result.
    total = jnp.zeros((a.shape[0], b.shape[0]), jnp.int32)
    for word in range(a.shape[1]):
        differ = lax.population_count(a[:, None, word] ^ b[None, :, word])
        total += differ.astype(jnp.int32)
    return total


def _search(prepared, queries, k):
    """See `search`: queries [Q, words] -> two int32 [Q, k]."""
    n, words = prepared.rows.shape
    flag = prepared.count >= 0
    size = tiles.group_size(n, k, words)
    if queries.shape[0] == 1 and prepared.lanes.size and size >= LANE_GROUP:
        size = min(size, max(LANE_GROUP, _LANE_TERMS // words))
        while len(prepared.lanes) % (size * WORD_BITS):
            size //= 2
        codes = prepared.lanes.reshape(-1, size, words, LANES)
        dead = jnp.all(prepared.dead.reshape(-1, size // LANE_GROUP, LANES), axis=1)
    else:
        codes = prepared.rows.reshape(-1, size, words, 1)
        dead = _dead_groups(prepared.live, size)[:, None]
    minima = selection.materialize(flag, _minima, codes, dead, queries)
    beyond = _beyond(words)
    found = selection.smallest(minima, k, beyond, flag)
    if size == 1:
        return selection.materialize(
            flag, functools.partial(selection.in_order, k=k), found, minima, found
        )
    values, places = selection.materialize(
        flag, functools.partial(_members, size=size), prepared, queries, found
    )
    chosen = selection.smallest(values, k, beyond, flag)
    ids = jnp.take_along_axis(places, chosen // size, axis=0, mode="clip") + chosen % size
    return selection.in_order(chosen, values, ids, k)


def _beyond(words):
    """The distance that dead rows are given: more bits than a code has."""
    return words * WORD_BITS + 1


def value_type(words: int):
    """The type that holds the distances of codes of so many words, and the next."""
    return jnp.uint8 if _beyond(words) < 256 else jnp.uint16


def _group_distances(codes, queries):
    """Yields every member's distances [G, L, Q]; codes [G, size, words, L], queries [Q, words]."""
    for member in range(codes.shape[1]):
        distance = 0
        for word in range(codes.shape[2]):
            differ = codes[:, member, word, :, None] ^ queries[:, word]
            distance += lax.population_count(differ)
        yield distance


def _minima(codes, dead, queries):
    """The least distance within each group, [G, L, Q]."""
    words = codes.shape[2]
    least = functools.reduce(jnp.minimum, _group_distances(codes, queries))
    least = jnp.where(dead[:, :, None], _beyond(words), least)
    return least.astype(value_type(words))


def _dead_groups(live, size):
    """Whether no row of a group is live, bool [N / size]."""
    if size >= WORD_BITS:
        return ~jnp.any(live.reshape(-1, size // WORD_BITS) != 0, axis=1)
    shifts = jnp.arange(0, WORD_BITS, size, dtype=jnp.uint32)
    return (live[:, None] >> shifts & jnp.uint32((1 << size) - 1) == 0).reshape(-1)


def _members(prepared, queries, groups, size):
    """Distances of all members of groups: [slots * size, 1, Q], and every group's first row."""
    words = prepared.rows.shape[1]
    rows = prepared.rows.reshape(-1, size, words)
    exists = groups >= 0
    groups = jnp.maximum(groups, 0)
    distance = 0
    for word in range(words):
        codes = rows[:, :, word].at[groups].get(mode="promise_in_bounds")
        distance += lax.population_count(codes ^ queries[:, word, None])
    first = groups * size
    span = max(1, size // WORD_BITS)
    bits = prepared.live.reshape(-1, span)
    bits = bits.at[first // (WORD_BITS * span)].get(mode="promise_in_bounds")
    shift = (first[:, :, None] + jnp.arange(size)) % WORD_BITS
    live = jnp.repeat(bits, size // span, axis=2) >> shift.astype(jnp.uint32) & 1
    distance = jnp.where((live == 1) & exists[:, :, None], distance, _beyond(words))
    values = distance.astype(value_type(words)).transpose(0, 2, 1)
    return values.reshape(-1, 1, groups.shape[1]), first


def _count_within(prepared, queries, radius):
    """See `count_within`: queries [Q, words] -> int32 [Q]."""
    words = prepared.rows.shape[1]
    size = WORD_BITS // 2
    codes = prepared.rows.reshape(-1, size, words, 1)

    def hits():
        bits = prepared.live[:, None] >> jnp.arange(0, WORD_BITS, size, dtype=jnp.uint32)
        bits = bits.reshape(-1, 1, 1)
        total = 0
        for member, distance in enumerate(_group_distances(codes, queries)):
            total += (distance <= radius.astype(jnp.uint32)).astype(jnp.uint32) & bits >> member
        return total.astype(jnp.uint8)

    return selection.add_up(selection.materialize(prepared.count >= 0, hits))
