"""Random draws on the host, each a function of a PRNG key alone."""

import jax
import numpy as np


def generator(key: jax.Array, *numbers: int) -> np.random.Generator:
    """Makes a generator of NumPy.

    Args:
      key: PRNG key.
      *numbers: Numbers that tell generators of one key apart, 0 or more. Zeros at the end tell
        nothing: a key alone has the numbers of the key with 0.
    """
    return np.random.default_rng([*np.asarray(jax.random.key_data(key)).tolist(), *numbers])


def places(key: jax.Array, count: int, size: int, *numbers: int) -> np.ndarray:
    """Draws different places, int64 [min(count, size)] in 0..size-1, in random order.

    Args:
      key: PRNG key.
      count: Number of places.
      size: Number of places to draw from.
      *numbers: As for `generator`.
    """
    return generator(key, *numbers).permutation(size)[:count]
