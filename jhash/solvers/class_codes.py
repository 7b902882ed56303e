"""Class codes that are far from each other, and a measure of their distances.

Shapes in names: C classes, L bits, P pairs of classes, N candidates for a bit.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

# Max number of candidates among which each bit of the class codes is chosen.
_CANDIDATES = 4096
# Candidates times pairs of classes in memory, up to which all candidates are used.
_BLOCK_PAIRS = 1 << 23


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
