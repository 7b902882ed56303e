"""Randomness as a function of (seed, purpose, counters), so that no generator is ever saved."""

import zlib

import jax


def stream(seed: int, purpose: str, *counters: int) -> jax.Array:
    """Computes the PRNG key for one purpose at one point of a run.

    Args:
      seed: Seed of the run.
      purpose: Name of the purpose, such as `"step"`; different names give independent keys.
      *counters: Numbers of the point in the run, such as the epoch; folded in one after another.

    Returns:
      A scalar typed key. Equal arguments give equal keys in every process and on every device.
    """
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(purpose.encode()))
    for counter in counters:
        key = jax.random.fold_in(key, counter)
    return key
