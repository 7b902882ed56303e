"""Randomness as a function of (seed, purpose, counters): nothing to save, nothing to lose."""

import zlib

import jax


def stream(seed: int, purpose: str, *counters: int) -> jax.Array:
    """The PRNG key for one purpose at one point of a run.

    Args:
      seed: The run's seed.
      purpose: What the key is for, such as `"augment"`; different names give independent keys.
      *counters: Where in the run, such as the step; folded in one after another.

    Returns:
      A scalar typed key. Equal arguments give equal keys in every process and on every device.
    """
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(purpose.encode()))
    for counter in counters:
        key = jax.random.fold_in(key, counter)
    return key
