"""Selection of the k smallest of many small integers, by position, in parts that XLA vectorizes.

Distances have few values, so nothing is sorted until k candidates are left. Three steps lead there:

1. The k-th smallest value, the *threshold*, is found by counting how many values are below a bound.
2. The values up to the threshold, the *hits*, become set bits of words.
3. The j-th set bit is looked up for each *slot* j, by prefix sums over the words.

Queries lie on the last axis, where they fill vector registers. When there are few queries, lanes of
the database lie before them and do so.

Letters in the shapes: R rows, L lanes, Q queries; the value of query q at position `l * R + r` is
`values[r, l, q]`. B = L * R / 32 words of bits, by position; S slots.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

_WORD = 32
# Slices that one fused loop adds up.
_UNROLL = 32
# Slices whose minima give a first bound of the threshold.
_FOLD = 16
# Steps of the loop that computes prefix sums.
_PREFIX_STEPS = 8
# Up to so many elements, prefix sums are faster without a loop.
_PLAIN = 2048


def materialize(flag: jax.Array, function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function so that its results are stored, and not computed again by each reader.

    XLA's CPU backend fuses cheap producers into all of their consumers, gathers included, and
    removes optimization barriers before it does so. But it stores the result of a conditional.

    Args:
      flag: A bool that is true; its value must be unknown to the compiler.
      function: Function that computes the results, a pytree of arrays.
      *args: Arguments of the function.

    Returns:
      The results of the function.
    """

    def never(*args):
        shapes = jax.eval_shape(function, *args)
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    return lax.cond(flag, function, never, *args)


def smallest(values: jax.Array, k: int, largest: int, flag: jax.Array) -> jax.Array:
    """Finds positions of the k smallest values per query, in ascending order.

    Args:
      values: uint8 or uint16 [R, L, Q], R a multiple of 32. The value of query q at position
        `l * R + r` is `values[r, l, q]`.
      k: Number of values, 1 to L * R.
      largest: An upper bound of the values.
      flag: A bool that is true, for `materialize`.

    Returns:
      int32 [S, Q], where S is k + 31 rounded up to a multiple of 32. The positions ascend. Among
      them are those of the k smallest by (value, position). Up to 31 more positions have the k-th
      smallest value. The rest, at the end, is -1.
    """
    threshold_Q = _kth_smallest(values, k, largest)
    below, equal = materialize(flag, _bit_masks, values, threshold_Q)
    mask_BxQ, ends_BxQ = materialize(
        flag, lambda below, equal: _hits(below, equal, k), below, equal
    )
    slots = -(-(k + _WORD - 1) // _WORD) * _WORD
    word_SxQ = materialize(flag, lambda ends: _words_of_slots(ends, slots), ends_BxQ)
    return materialize(flag, _positions, mask_BxQ, ends_BxQ, word_SxQ)


def in_order(
    chosen: jax.Array, values: jax.Array, ids: jax.Array, k: int
) -> tuple[jax.Array, jax.Array]:
    """Sorts the positions that `smallest` found, by (value, position), and keeps the first k.

    Args:
      chosen: Ascending positions in `values`, int32 [S, Q]; -1 for none.
      values: uint8 or uint16 [R, L, Q].
      ids: What to return for each chosen position, int32 [S, Q].
      k: Number of results.

    Returns:
      Values and ids of the first k by (value, position), both int32 [Q, k].
    """
    slots, queries = chosen.shape
    by_position = values.transpose(1, 0, 2).reshape(-1, queries)
    near = jnp.take_along_axis(
        by_position, jnp.maximum(chosen, 0), axis=0, mode="promise_in_bounds"
    )
    largest = int(jnp.iinfo(values.dtype).max)
    near_QxS = jnp.where(chosen >= 0, near, largest).astype(jnp.uint32).T
    slot_QxS = jnp.broadcast_to(jnp.arange(slots, dtype=jnp.uint32), near_QxS.shape)
    if (largest + 1) * slots < 1 << 32:
        # One word is sorted several times faster than two.
        key_Qxk = lax.sort(near_QxS * slots + slot_QxS, is_stable=False)[:, :k]
        near_Qxk = key_Qxk // slots
        slot_Qxk = key_Qxk % slots
    else:
        near_QxS, slot_QxS = lax.sort((near_QxS, slot_QxS), num_keys=2)
        near_Qxk = near_QxS[:, :k]
        slot_Qxk = slot_QxS[:, :k]
    ids_Qxk = jnp.take_along_axis(
        ids.T, slot_Qxk.astype(jnp.int32), axis=1, mode="promise_in_bounds"
    )
    return near_Qxk.astype(jnp.int32), ids_Qxk


def add_up(counts: jax.Array) -> jax.Array:
    """Computes the sum per query of small counts.

    Args:
      counts: uint8 [R, L, Q], none above 32.

    Returns:
      int32 [Q].
    """
    folds = -(-counts.shape[0] // 4)
    counts = jnp.pad(counts, ((0, 4 * folds - counts.shape[0]), (0, 0), (0, 0)))
    counts = counts.reshape(4, folds, *counts.shape[1:])
    # Bytes still hold the sums of four, and vector registers hold more bytes than words.
    return jnp.sum(sum(counts[1:], start=counts[0]), axis=(0, 1), dtype=jnp.int32)


def _count_below(values_RxLxQ, bound_Q):
    """Counts the values of each query that are below its bound: int32 [Q]."""
    slices = values_RxLxQ.reshape(_UNROLL, -1, *values_RxLxQ.shape[1:])
    hits = slices < bound_Q.astype(values_RxLxQ.dtype)
    hits = hits.astype(jnp.uint8)
    return add_up(sum(hits[1:], start=hits[0]))


def _kth_smallest(values_RxLxQ, k, largest):
    """Finds the k-th smallest value per query, int32 [Q]."""
    rows, lanes, _ = values_RxLxQ.shape
    if rows % (_FOLD * _UNROLL) or rows * lanes < 4 * _FOLD * k:
        return _bisect(values_RxLxQ, k, largest)
    # The k-th smallest of the minima over slices is an upper bound, seldom more than 2 too large.
    slices = values_RxLxQ.reshape(_FOLD, rows // _FOLD, *values_RxLxQ.shape[1:])
    minima = slices[0]
    for other in slices[1:]:
        minima = jnp.minimum(minima, other)

    def lower(state):
        bound_Q, _ = state
        fits_Q = _count_below(values_RxLxQ, bound_Q) >= k
        return bound_Q - fits_Q, jnp.any(fits_Q)

    bound_Q = _bisect(minima, k, largest)
    return lax.while_loop(lambda state: state[1], lower, (bound_Q, jnp.array(True)))[0]


def _bisect(values_RxLxQ, k, largest):
    """Finds the k-th smallest value per query by bisection between 0 and `largest`: int32 [Q]."""

    def halve(_, bounds):
        low_Q, high_Q = bounds
        middle_Q = (low_Q + high_Q) // 2
        enough_Q = _count_below(values_RxLxQ, middle_Q + 1) >= k
        return jnp.where(enough_Q, low_Q, middle_Q + 1), jnp.where(enough_Q, middle_Q, high_Q)

    start_Q = jnp.zeros(values_RxLxQ.shape[2], jnp.int32)
    return lax.fori_loop(0, largest.bit_length(), halve, (start_Q, start_Q + largest))[1]


def _bit_masks(values_RxLxQ, threshold_Q):
    """Marks the values below the threshold, and those equal to it: two uint32 [R / 32, L, Q]."""
    rows, lanes, queries = values_RxLxQ.shape
    threshold_Q = threshold_Q.astype(values_RxLxQ.dtype)
    words = values_RxLxQ.reshape(rows // _WORD, _WORD, lanes, queries)
    below = jnp.uint32(0)
    equal = jnp.uint32(0)
    for bit in range(_WORD):
        below |= (words[:, bit] < threshold_Q).astype(jnp.uint32) << bit
        equal |= (words[:, bit] == threshold_Q).astype(jnp.uint32) << bit
    return below, equal


def _hits(below, equal, k):
    """Takes all bits of `below`, and words of `equal` from the first on until there are k bits.

    Args:
      below: Bits of the values below the threshold, uint32 [R / 32, L, Q].
      equal: Bits of the values equal to it, of the same shape.
      k: Number of hits.

    Returns:
      The words of the hits, uint32 [B, Q], and the number of hits up to the end of each word, int32
      [B, Q]; both by position.
    """
    below_BxQ, equal_BxQ = (
        mask.transpose(1, 0, 2).reshape(-1, mask.shape[2]) for mask in (below, equal)
    )
    below_ends_BxQ, equal_ends_BxQ = _prefix_sums(_popcount(below_BxQ), _popcount(equal_BxQ))
    # A word of `equal` is kept while the words before it do not suffice.
    kept_BxQ = equal_ends_BxQ - _popcount(equal_BxQ) < k - below_ends_BxQ[-1]
    # The words kept are the first ones; behind them the count stands still.
    max_end_Q = jnp.max(jnp.where(kept_BxQ, equal_ends_BxQ, 0), axis=0)
    mask_BxQ = below_BxQ | jnp.where(kept_BxQ, equal_BxQ, 0)
    return mask_BxQ, below_ends_BxQ + jnp.minimum(equal_ends_BxQ, max_end_Q)


def _popcount(words):
    return lax.population_count(words).astype(jnp.int32)


def _prefix_sums(*counts_BxQ):
    """Computes inclusive sums along the first axis, each int32 [B, Q].

    Long arrays are cut into groups of 8 consecutive rows. One loop over the 8 rows adds up all
    groups at once, and the sums of the groups before are added last.
    """
    n, queries = counts_BxQ[0].shape
    if n * queries <= _PLAIN:
        return tuple(jnp.cumsum(count, axis=0) for count in counts_BxQ)
    groups = -(-n // _PREFIX_STEPS)

    def split(count_BxQ):
        """Returns [8, groups, Q]: row i of all groups lies at i."""
        padded = jnp.pad(count_BxQ, ((0, groups * _PREFIX_STEPS - n), (0, 0)))
        return padded.reshape(groups, _PREFIX_STEPS, queries).transpose(1, 0, 2)

    def add(sums, step):
        sums = jax.tree.map(jnp.add, sums, step)
        return sums, sums

    steps = tuple(split(count) for count in counts_BxQ)
    zeros = jax.tree.map(lambda step: jnp.zeros_like(step[0]), steps)
    totals, inner_sums = lax.scan(add, zeros, steps)
    return tuple(
        (inner + jnp.cumsum(total, axis=0) - total).transpose(1, 0, 2).reshape(-1, queries)[:n]
        for total, inner in zip(totals, inner_sums, strict=True)
    )


def _words_of_slots(ends_BxQ, slots):
    """Finds the word of the j-th set bit for each slot j, by binary search: int32 [S, Q]."""
    words, queries = ends_BxQ.shape
    rank_SxQ = jnp.broadcast_to(jnp.arange(slots, dtype=jnp.int32)[:, None], (slots, queries))
    word_SxQ = jnp.zeros_like(rank_SxQ)
    for step in reversed(range(words.bit_length())):
        ahead_SxQ = word_SxQ + (1 << step)
        passed_SxQ = _look_up(ends_BxQ, jnp.minimum(ahead_SxQ, words) - 1) <= rank_SxQ
        word_SxQ = jnp.where((ahead_SxQ <= words) & passed_SxQ, ahead_SxQ, word_SxQ)
    return word_SxQ


def _positions(mask_BxQ, ends_BxQ, word_SxQ):
    """Finds the position of the j-th set bit for each slot j, int32 [S, Q]; -1 where there is none.

    The word of each slot is known. Its bit is found by halving the word five times.
    """
    slots = word_SxQ.shape[0]
    rank = jnp.arange(slots, dtype=jnp.int32)[:, None]
    exists_SxQ = rank < ends_BxQ[-1]
    word_SxQ = jnp.minimum(word_SxQ, len(ends_BxQ) - 1)
    bits_SxQ = _look_up(mask_BxQ, word_SxQ)
    # From here on, the rank among the bits of the word.
    rank_SxQ = rank - (_look_up(ends_BxQ, word_SxQ) - _popcount(bits_SxQ))
    position_SxQ = word_SxQ * _WORD
    for width in (16, 8, 4, 2, 1):
        low_SxQ = _popcount(bits_SxQ & jnp.uint32((1 << width) - 1))
        in_high_SxQ = rank_SxQ >= low_SxQ
        rank_SxQ = jnp.where(in_high_SxQ, rank_SxQ - low_SxQ, rank_SxQ)
        bits_SxQ = jnp.where(in_high_SxQ, bits_SxQ >> width, bits_SxQ)
        position_SxQ += jnp.where(in_high_SxQ, width, 0)
    return jnp.where(exists_SxQ, position_SxQ, -1)


def _look_up(table_BxQ, rows_SxQ):
    return jnp.take_along_axis(table_BxQ, rows_SxQ, axis=0, mode="promise_in_bounds")
