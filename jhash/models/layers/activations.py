"""Activation functions that jax.nn lacks."""

import jax


def shrink_sigmoid(x: jax.Array) -> jax.Array:
    """The sigmoid, shrunk to [1/4, 3/4]: 1/4 + sigmoid(x) / 2, real of any shape.

    Source: DAH eq. 1.
    """
    return 0.25 + 0.5 * jax.nn.sigmoid(x)
