"""Activation functions that jax.nn lacks."""

import jax


def shrink_sigmoid(x: jax.Array) -> jax.Array:
    """Computes the sigmoid, shrunk to [1/4, 3/4]: 1/4 + sigmoid(x) / 2.

    Args:
      x: Real numbers, of any shape.

    Returns:
      Numbers of the same shape, in [1/4, 3/4].

    References:
      DAH (Li et al. 2020), eq. 1.
    """
    return 0.25 + 0.5 * jax.nn.sigmoid(x)
