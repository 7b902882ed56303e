"""The k smallest of many small integers, by position, in parts that compilers vectorise.

Distances have few values, so that nothing is sorted: the k-th smallest value is found by counting,
hits become bits of words, and the j-th set bit is looked up by prefix sums. Queries (or shards of
the database, when queries are few) lie on the minor axes, where they fill vector registers.
"""

import jax
import jax.numpy as jnp
from jax import lax

_WORD = 32
# Slices that one fused loop adds up, and the fold before a threshold is searched for.
_UNROLL = 32
_FOLD = 16
_PREFIX_STEPS = 8
# So few elements are summed faster without a loop.
_PLAIN = 2048


def materialize(flag: jax.Array, function, *args):
    """Calls a function so that its results are stored, and not computed again by each reader.

    XLA's CPU backend fuses cheap producers into all of their consumers, gathers included, and
    removes optimization barriers before it does so. The result of a conditional is stored.

    Args:
      flag: bool, true; a value which the compiler cannot know.
      function: What to compute.
      *args: Its arguments.

    Returns:
      Its results.
    """

    def never(*args):
        shapes = jax.eval_shape(function, *args)
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    return lax.cond(flag, function, never, *args)


def smallest(values: jax.Array, k: int, largest: int, flag: jax.Array) -> jax.Array:
    """Positions that hold the k smallest values of every query, in ascending order.

    Args:
      values: uint8 or uint16 [R, L, Q], R a multiple of 32. The value of query q at position
        `l * R + r` is `values[r, l, q]`.
      k: How many, 1 to L * R.
      largest: No value is larger.
      flag: See `materialize`.

    Returns:
      int32 [k + 31 rounded up to a multiple of 32, Q], ascending: among the positions are those of
      the k smallest by (value, position). Up to 31 more have the k-th smallest value; the rest, at
      the end, is -1.
    """
    threshold = _kth_smallest(values, k, largest)
    below, equal = materialize(flag, _bit_masks, values, threshold)
    mask, ends = materialize(flag, lambda *masks: _hits(*masks, k), below, equal)
    slots = -(-(k + _WORD - 1) // _WORD) * _WORD
    block = materialize(flag, lambda ends: _blocks(ends, slots), ends)
    return materialize(flag, _positions, mask, ends, block)


def in_order(
    chosen: jax.Array, values: jax.Array, ids: jax.Array, k: int
) -> tuple[jax.Array, jax.Array]:
    """Sorts what `smallest` found.

    Args:
      chosen: int32 [slots, Q]: ascending positions in `values`; -1 is none.
      values: uint8 or uint16 [R, L, Q].
      ids: int32 [slots, Q]: what to return for the chosen.
      k: How many.

    Returns:
      Values and ids of the first k by (value, position), both int32 [Q, k].
    """
    slots, queries = chosen.shape
    values = values.transpose(1, 0, 2).reshape(-1, queries)
    near = jnp.take_along_axis(values, jnp.maximum(chosen, 0), axis=0, mode="promise_in_bounds")
    largest = int(jnp.iinfo(values.dtype).max)
    near = jnp.where(chosen >= 0, near, largest).astype(jnp.uint32).T
    slot = jnp.broadcast_to(jnp.arange(slots, dtype=jnp.uint32), near.shape)
    if (largest + 1) * slots < 1 << 32:
        # One word is sorted several times faster than two.
        key = lax.sort(near * slots + slot, is_stable=False)[:, :k]
        near, slot = key // slots, key % slots
    else:
        near, slot = (part[:, :k] for part in lax.sort((near, slot), num_keys=2))
    ids = jnp.take_along_axis(ids.T, slot.astype(jnp.int32), axis=1, mode="promise_in_bounds")
    return near.astype(jnp.int32), ids


def add_up(counts: jax.Array) -> jax.Array:
    """Sums of every query: uint8 [R, L, Q], none above 32, -> int32 [Q]."""
    folds = -(-counts.shape[0] // 4)
    counts = jnp.pad(counts, ((0, 4 * folds - counts.shape[0]), (0, 0), (0, 0)))
    counts = counts.reshape(4, folds, *counts.shape[1:])
    # Bytes still hold the sums of four, and vector registers hold more bytes than words.
    return jnp.sum(sum(counts[1:], start=counts[0]), axis=(0, 1), dtype=jnp.int32)


def _count_below(values, bound):
    """How many values of every query are below its bound: int32 [Q]."""
    hits = values.reshape(_UNROLL, -1, *values.shape[1:]) < bound.astype(values.dtype)
    hits = hits.astype(jnp.uint8)
    return add_up(sum(hits[1:], start=hits[0]))


def _kth_smallest(values, k, largest):
    """int32 [Q]."""
    rows, lanes, _ = values.shape
    if rows % (_FOLD * _UNROLL) or rows * lanes < 4 * _FOLD * k:
        return _bisect(values, k, largest)
    # The k-th smallest of the minima over slices bounds it from above, seldom by more than 1 or 2.
    slices = values.reshape(_FOLD, rows // _FOLD, *values.shape[1:])
    minima = slices[0]
    for part in slices[1:]:
        minima = jnp.minimum(minima, part)

    def lower(state):
        bound, _ = state
        fits = _count_below(values, bound) >= k
        return bound - fits, jnp.any(fits)

    bound = _bisect(minima, k, largest)
    return lax.while_loop(lambda state: state[1], lower, (bound, jnp.array(True)))[0]


def _bisect(values, k, largest):
    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) // 2
        enough = _count_below(values, middle + 1) >= k
        return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

    start = jnp.zeros(values.shape[2], jnp.int32)
    return lax.fori_loop(0, largest.bit_length(), halve, (start, start + largest))[1]


def _bit_masks(values, threshold):
    """Whether a value is below the threshold, or equal: two uint32 [R / 32, L, Q]."""
    rows, lanes, queries = values.shape
    threshold = threshold.astype(values.dtype)
    words = values.reshape(rows // _WORD, _WORD, lanes, queries)
    below, equal = jnp.uint32(0), jnp.uint32(0)
    for bit in range(_WORD):
        below |= (words[:, bit] < threshold).astype(jnp.uint32) << bit
        equal |= (words[:, bit] == threshold).astype(jnp.uint32) << bit
    return below, equal


def _hits(below, equal, k):
    """All bits of `below`, and words of `equal` from the first on until there are k.

    Returns:
      The mask, and the number of set bits up to the end of each word; both [L * R / 32, Q], by
      position.
    """
    below, equal = (part.transpose(1, 0, 2).reshape(-1, part.shape[2]) for part in (below, equal))
    below_ends, equal_ends = _prefix_sums(_popcount(below), _popcount(equal))
    kept = equal_ends - _popcount(equal) < k - below_ends[-1]
    # The words kept are the first ones; behind them the count stands still.
    most = jnp.max(jnp.where(kept, equal_ends, 0), axis=0)
    return below | jnp.where(kept, equal, 0), below_ends + jnp.minimum(equal_ends, most)


def _popcount(words):
    return lax.population_count(words).astype(jnp.int32)


def _prefix_sums(*counts):
    """Inclusive sums along the first axis, each int32 [n, Q]; n / 8 rows a step."""
    n, queries = counts[0].shape
    if n * queries <= _PLAIN:
        return tuple(jnp.cumsum(count, axis=0) for count in counts)
    groups = -(-n // _PREFIX_STEPS)

    def split(count):
        count = jnp.pad(count, ((0, groups * _PREFIX_STEPS - n), (0, 0)))
        return count.reshape(groups, _PREFIX_STEPS, queries).transpose(1, 0, 2)

    def add(sums, step):
        sums = jax.tree.map(jnp.add, sums, step)
        return sums, sums

    parts = tuple(split(count) for count in counts)
    zeros = jax.tree.map(lambda part: jnp.zeros_like(part[0]), parts)
    totals, inner = lax.scan(add, zeros, parts)
    return tuple(
        (part + jnp.cumsum(total, axis=0) - total).transpose(1, 0, 2).reshape(-1, queries)[:n]
        for total, part in zip(totals, inner, strict=True)
    )


def _blocks(ends, slots):
    """In which word the j-th set bit lies, for j < slots: int32 [slots, Q], by binary search."""
    words, queries = ends.shape
    rank = jnp.broadcast_to(jnp.arange(slots, dtype=jnp.int32)[:, None], (slots, queries))
    block = jnp.zeros_like(rank)
    for step in reversed(range(words.bit_length())):
        ahead = block + (1 << step)
        passed = _look_up(ends, jnp.minimum(ahead, words) - 1) <= rank
        block = jnp.where((ahead <= words) & passed, ahead, block)
    return block


def _positions(mask, ends, block):
    """The j-th set bit's place: its word is known, the bit is found by halving the word."""
    slots = block.shape[0]
    rank = jnp.arange(slots, dtype=jnp.int32)[:, None]
    exists = rank < ends[-1]
    block = jnp.minimum(block, len(ends) - 1)
    word = _look_up(mask, block)
    rank = rank - (_look_up(ends, block) - _popcount(word))
    position = block * _WORD
    for width in (16, 8, 4, 2, 1):
        low = _popcount(word & jnp.uint32((1 << width) - 1))
        high = rank >= low
        rank = jnp.where(high, rank - low, rank)
        word = jnp.where(high, word >> width, word)
        position += jnp.where(high, width, 0)
    return jnp.where(exists, position, -1)


def _look_up(table, rows):
    return jnp.take_along_axis(table, rows, axis=0, mode="promise_in_bounds")
