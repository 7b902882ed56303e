"""Bounds of the min distance that a number of binary codes can have, or must be able to have."""

import itertools
import math


def gilbert_varshamov(classes: int, bits: int) -> int:
    r"""Computes the min distance that MDSH asks of its centers.

    It is the smallest d with \sum_{i < d} binom(bits, i) >= 2^bits / classes. Codes can be chosen
    one after another, each at a distance of d - 1 or more from all before it, since fewer than
    2^bits words are nearer than that to one of them. So d is a bit more than this argument
    guarantees.

    Args:
      classes: Number of codes.
      bits: Code length.

    Returns:
      The distance.

    References:
      MDSH (Wang et al. 2023) and Wangld5/Center-Hashing:optimizeAccel.py, `d_max`. Whole
      numbers of Python are exact, where floats of 2^bits are not from 54 bits on.
    """
    words = itertools.accumulate(math.comb(bits, distance) for distance in range(bits + 1))
    return next(nearer + 1 for nearer, count in enumerate(words) if count * classes >= 1 << bits)


def griesmer(classes: int, bits: int) -> int:
    r"""Computes a bound above the min distance of linear codes.

    A linear code of 2^k words has \sum_{i < k} ceil(d / 2^i) bits or more. The bound is the
    largest d for which these are no more than `bits`, with the smallest k that gives each class a
    word.

    Args:
      classes: Number of codes.
      bits: Code length.

    Returns:
      The bound; 0 if there are fewer than `classes` words.

    References:
      Griesmer, A bound for error-correcting codes, IBM Journal 4, 1960.
    """
    exponents = range(max(1, math.ceil(math.log2(classes))))
    return max(
        distance
        for distance in range(bits + 1)
        if sum(-(-distance // 2**exponent) for exponent in exponents) <= bits
    )
