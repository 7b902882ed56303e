"""Codes of the classes, *centers*: ways to choose them, their distances, codes of several labels.

Shapes in names: B images, C classes, L bits, P pairs of classes, N candidates for a bit.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError
from jhash.solvers.label_groups import one_hot

# Max number of candidates among which each bit of the class codes is chosen.
_CANDIDATES = 4096
# Candidates times pairs of classes in memory, up to which all candidates are used.
_BLOCK_PAIRS = 1 << 23
# Number of sets of codes of which `hadamard` takes the best where there is no Hadamard matrix, and
# after which `bernoulli` gives up looking for different codes.
_DRAWS = 1000
# The factor by which a bit more between two codes lowers their share of the sum that `separated`
# lowers. Between 2 and 8 it made next to no difference to the min distance.
_BASE = 4.0


def make(kind: str, key: jax.Array, classes: int, bits: int) -> jax.Array:
    """Makes codes of the classes in one of the ways of `KINDS`.

    Args:
      kind: Name of the way.
      key: PRNG key.
      classes: Number of codes.
      bits: Code length.

    Returns:
      float32 [classes, bits] in {-1, +1}; no two rows are equal.

    Raises:
      InputError: `kind` is none of the ways, there are fewer words of `bits` bits than classes, or
        two classes have got the same code.
    """
    if kind not in KINDS:
        raise InputError(f"kind: {kind!r} given; allowed: {', '.join(KINDS)}.")
    fewest = max(1, (classes - 1).bit_length())
    if bits < fewest:
        raise InputError(
            f"bits: {bits} given; allowed: {fewest} and more, as {classes} classes need different "
            "codes."
        )
    codes = KINDS[kind](key, classes, bits)
    if code_separation(codes)[0] < classes:
        raise InputError(
            f"bits: {bits} given, with which {kind} codes of {classes} classes are not all "
            "different; allowed: more bits, or codes of another kind."
        )
    return codes


def of_labels(codes: jax.Array, labels: jax.Array, tie: jax.Array) -> jax.Array:
    """Returns the code of each image: that of its class, or the majority of those of its classes.

    Args:
      codes: Codes of the classes, [C, L] in {-1, +1}.
      labels: int [B] class ids or 0/1 [B, C].
      tie: The bits that images take where as many of their classes have +1 as -1, [L] in {-1, +1}.
        An image without any label takes all of them.

    Returns:
      [B, L] in {-1, +1}, in the dtype of the codes.

    References:
      CSQ (Yuan et al. 2020) and yuanli2333/Hadamard-Matrix-for-hashing:train.py, which break ties
      by one random code for the whole run, too.
    """
    if labels.ndim == 1:
        return codes[labels]
    sums_BxL = one_hot(labels, len(codes)).astype(codes.dtype) @ codes
    return jnp.where(sums_BxL == 0, tie, jnp.sign(sums_BxL))


def hadamard(key: jax.Array, classes: int, bits: int) -> jax.Array:
    """Takes rows of a Hadamard matrix H, any two of which differ in half of their bits.

    If `bits` is a power of two, and there are at most 2 `bits` classes, the codes are rows of
    [H; -H], so that two of them differ in half of the bits, or in all. Otherwise each code has +1
    for half of its bits, drawn at random; of 1,000 such sets, the one with the largest min distance
    is taken.

    Args:
      key: PRNG key of the choice of rows, or of the sets.
      classes: Number of codes.
      bits: Code length.

    Returns:
      float32 [classes, bits] in {-1, +1}.

    References:
      CSQ (Yuan et al. 2020), Algorithm 1. Public code takes the first rows of H. But the first
      column of H is constant, and so would be the first bit of all images; and the first 2^k rows
      have 2^k different columns, so that ten classes would have 16 different bits at any length.
      Here the rows are drawn, and every other one is negated.
    """
    if bits & (bits - 1) or classes > 2 * bits:
        return _balanced_rows(key, classes, bits)
    # Sylvester's matrix: -1 to the number of ones that i and j share.
    places = np.arange(bits)
    matrix_LxL = 1.0 - 2.0 * (np.bitwise_count(places[:, None] & places) % 2)
    drawn_LxL = matrix_LxL[np.asarray(jax.random.permutation(key, bits))]
    drawn_LxL[1::2] *= -1
    return jnp.asarray(np.concatenate([drawn_LxL, -drawn_LxL])[:classes], jnp.float32)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _balanced_rows(key, classes, bits):
    """Draws sets of codes with bits // 2 ones each, and returns the first of the farthest sets."""

    def draw(number):
        uniform_CxL = jax.random.uniform(jax.random.fold_in(key, number), (classes, bits))
        ranks_CxL = jnp.argsort(jnp.argsort(uniform_CxL, axis=1), axis=1)
        return jnp.where(ranks_CxL < bits // 2, 1.0, -1.0)

    distances = jax.lax.map(lambda number: code_separation(draw(number))[1], jnp.arange(_DRAWS))
    return draw(jnp.argmax(distances))


@functools.partial(jax.jit, static_argnums=(1, 2))
def bernoulli(key: jax.Array, classes: int, bits: int) -> jax.Array:
    """Draws every bit of every code at random, again as long as two codes are equal.

    Args:
      key: PRNG key.
      classes: Number of codes.
      bits: Code length.

    Returns:
      float32 [classes, bits] in {-1, +1}. Two rows may be equal if that is so in 1,000 draws.

    References:
      OrthoHash (Hoe et al. 2021) and DPN (Fan et al. 2020); neither looks at the distances. The
      nearest two of ten codes of 12 bits are mostly 2 or 3 bits apart.
    """

    def draw(number):
        return jax.random.rademacher(jax.random.fold_in(key, number), (classes, bits), jnp.float32)

    def again(number):
        return (code_separation(draw(number))[0] < classes) & (number < _DRAWS)

    return draw(jax.lax.while_loop(again, lambda number: number + 1, 0))


def separated(key: jax.Array, classes: int, bits: int) -> jax.Array:
    """Moves codes that are far apart still farther apart, bit by bit.

    It begins with `initial_class_codes`. In each step that bit of all codes is flipped whose flip
    lowers the sum of 4^-distance over the pairs of classes most, until none lowers it. The bits are
    then no longer exactly balanced over the classes.

    Args:
      key: PRNG key of the first codes.
      classes: Number of codes.
      bits: Code length.

    Returns:
      float32 [classes, bits] in {-1, +1}.

    References:
      MDSH (Wang et al. 2023) asks for a min distance (`code_bounds.gilbert_varshamov`), and moves
      one center after another by an ADMM on a box. The flips reached that distance or more in all
      51 trials, with 12 to 64 bits and 10 to 100 classes, within two seconds.
    """
    return flip_apart(initial_class_codes(key, classes, bits))


@jax.jit
@jax.default_matmul_precision("highest")
def flip_apart(codes: jax.Array) -> jax.Array:
    """Flips one bit after another, as `separated` says, until no flip lowers the sum.

    Args:
      codes: float32 [C, L] in {-1, +1}.

    Returns:
      float32 [C, L] in {-1, +1}.
    """

    def changes(codes_CxL):
        """Returns the change of the sum by each flip, [C, L], and the tolerance of rounding."""
        distance_CxC = (codes_CxL.shape[1] - codes_CxL @ codes_CxL.T) / 2
        others_CxC = ~jnp.eye(len(codes_CxL), dtype=bool)
        nearest = jnp.min(distance_CxC, where=others_CxC, initial=jnp.inf)
        weights_CxC = jnp.where(others_CxC, _BASE ** (nearest - distance_CxC), 0)
        # A flip takes the codes that agree in the bit a bit apart, and the others a bit closer.
        total_Cx1 = weights_CxC.sum(1, keepdims=True)
        agreeing_CxL = (total_Cx1 + codes_CxL * (weights_CxC @ codes_CxL)) / 2
        change_CxL = agreeing_CxL * (1 / _BASE - 1) + (total_Cx1 - agreeing_CxL) * (_BASE - 1)
        return change_CxL, 1e-5 * total_Cx1.max()

    def lowers(state):
        _, change_CxL, tolerance = state
        return change_CxL.min() < -tolerance

    def flip(state):
        codes_CxL, change_CxL, _ = state
        place = jnp.unravel_index(change_CxL.argmin(), codes_CxL.shape)
        codes_CxL = codes_CxL.at[place].multiply(-1)
        return codes_CxL, *changes(codes_CxL)

    return jax.lax.while_loop(lowers, flip, (codes, *changes(codes)))[0]


@functools.partial(jax.jit, static_argnames=("classes", "bits"))
@jax.default_matmul_precision("highest")
def initial_class_codes(key: jax.Array, classes: int, bits: int) -> jax.Array:
    """Draws class codes that are far apart, with every bit +1 for half of the classes.

    Bits are chosen one after another. Each is the best of 4,096 random balanced candidates (fewer
    from 65 classes on, to save memory): that with the smallest sum of 2^-distance over the pairs of
    classes. So each bit separates the classes whose codes are closest so far.

    Args:
      key: PRNG key of the candidates.
      classes: Number of codes.
      bits: Code length.

    Returns:
      float32 [classes, bits] in {-1, +1}.

    References:
      FDAH (Lin et al. 2021) does not say how its W and B start. With a random W the class codes
      sgn(W) of ten classes can coincide at 12 bits, and images of two classes then share a code
      ever after. Balance matters as much as distance: most pairs of images are dissimilar, so where
      a bit has one sign for most classes, the similarity term pulls the outputs of *all* images to
      the other sign, away from their codes.
    """
    pairs = max(1, classes * (classes - 1) // 2)
    pool = max(64, min(_CANDIDATES, _BLOCK_PAIRS // pairs))
    rank_key, sign_key = jax.random.split(key)
    # With an odd number of classes, a random sign decides which half has one class more.
    ranks_NxC = jnp.argsort(jax.random.uniform(rank_key, (pool, classes)), axis=1)
    signs_Nx1 = jax.random.rademacher(sign_key, (pool, 1), jnp.float32)
    candidates_NxC = signs_Nx1 * jnp.where(ranks_NxC < classes // 2, -1.0, 1.0)
    left_P, right_P = np.triu_indices(classes, 1)
    separates_NxP = candidates_NxC[:, left_P] != candidates_NxC[:, right_P]
    separates_NxP = separates_NxP.astype(jnp.float32)

    def choose(weights_P, _):
        # A pair's weight is 2^-distance up to a factor; a bit that separates the pair halves it.
        best = jnp.argmin(weights_P @ (1 - separates_NxP.T / 2))
        weights_P = weights_P * (1 - separates_NxP[best] / 2)
        return weights_P / weights_P.max(initial=1e-30), candidates_NxC[best]

    return jax.lax.scan(choose, jnp.ones(len(left_P)), length=bits)[1].T


@jax.jit
def code_separation(codes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Counts distinct codes, and computes the min distance between two of them.

    Args:
      codes: float [C, L] in {-1, +1}.

    Returns:
      (int32 number of distinct rows, float32 min Hamming distance between two rows). The distance
      is 0 if two rows are equal, and L if there is one row only.
    """
    distance_CxC = (codes.shape[1] - codes @ codes.T) / 2
    equals_earlier_C = jnp.tril(distance_CxC == 0, -1).any(1)
    off_diagonal_CxC = jnp.where(jnp.eye(len(codes), dtype=bool), jnp.inf, distance_CxC)
    return jnp.sum(~equals_earlier_C), jnp.min(off_diagonal_CxC, initial=codes.shape[1])


# The ways to choose codes, by name: functions of (key, classes, bits).
KINDS: dict[str, Callable[[jax.Array, int, int], jax.Array]] = {
    "hadamard": hadamard,
    "bernoulli": bernoulli,
    "far_apart": initial_class_codes,
    "separated": separated,
}
