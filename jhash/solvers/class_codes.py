"""Codes of classes that are far apart, and how far apart they are."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

# Candidates for each bit of the class codes.
_CANDIDATES = 4096
# Pairs of classes times candidates that are in memory at a time.
_BLOCK_PAIRS = 1 << 23


@functools.partial(jax.jit, static_argnames=("classes", "bits"))
@jax.default_matmul_precision("highest")
def initial_class_codes(key, classes, bits):
    """Class codes that are far apart, with every bit +1 for half of the classes.

    The paper does not say how W and B start. With a random W the class codes sgn(W) of ten classes
    can coincide at 12 bits, and images of two classes then share codes for good. Balance matters as
    much as distance: most pairs are dissimilar, so where a bit has one sign for most classes, the
    similarity term pulls the outputs of *all* images to the other sign, away from their codes.

    Args:
      key: PRNG key.
      classes: Number of codes.
      bits: Code length.

    Returns:
      float32 [classes, bits] in {-1, +1}. Bits are chosen one after another among 4,096 random
      balanced ones (fewer from 65 classes on, to save memory), each time that with the least sum
      over pairs of classes of 2^-distance, so that it separates the classes that are closest.
    """
    pairs = max(1, classes * (classes - 1) // 2)
    pool = max(64, min(_CANDIDATES, _BLOCK_PAIRS // pairs))
    rank_key, sign_key = jax.random.split(key)
    ranks = jnp.argsort(jax.random.uniform(rank_key, (pool, classes)), axis=1)
    signs = jax.random.rademacher(sign_key, (pool, 1), jnp.float32)
    candidates = signs * jnp.where(ranks < classes // 2, -1.0, 1.0)
    first, second = np.triu_indices(classes, 1)
    separates = (candidates[:, first] != candidates[:, second]).astype(jnp.float32)

    def choose(weights, _):
        best = jnp.argmin(weights @ (1 - separates.T / 2))
        weights = weights * (1 - separates[best] / 2)
        return weights / weights.max(initial=1e-30), candidates[best]

    return jax.lax.scan(choose, jnp.ones(len(first)), length=bits)[1].T


@jax.jit
def code_separation(codes):
    """How many rows of +-1 codes [c, bits] are distinct, and the least distance between two rows.

    Returns:
      (int32 number of distinct rows, float32 least Hamming distance, 0 if two rows are equal).
    """
    distance = (codes.shape[1] - codes @ codes.T) / 2
    earlier = jnp.tril(distance == 0, -1).any(1)
    off_diagonal = jnp.where(jnp.eye(len(codes), dtype=bool), jnp.inf, distance)
    return jnp.sum(~earlier), jnp.min(off_diagonal, initial=codes.shape[1])
