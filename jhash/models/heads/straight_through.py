"""Binary activations with gradients of smooth ones: straight-through estimators."""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def sign(u: jax.Array) -> jax.Array:
    """Computes sgn(u) with the gradient of the identity.

    Args:
      u: Hash outputs, any real numbers of any shape.

    Returns:
      -1 or +1, in the dtype and shape of u. sgn(0) is -1, as bit = u > 0.

    References:
      GreedyHash (Su et al. 2018), whose sgn(0) is 0.
    """
    return jnp.where(u > 0, 1, -1).astype(u.dtype)


@sign.defjvp
def _sign_jvp(primals, tangents):
    return sign(*primals), tangents[0]


@jax.custom_jvp
def bernoulli(u: jax.Array, threshold: jax.Array | float = 0.5) -> jax.Array:
    """Computes bits [sigmoid(u) > threshold] with the gradient of sigmoid(u).

    Args:
      u: Hash outputs, any real numbers of any shape.
      threshold: Numbers in [0, 1]: uniform noise draws each bit with the probability sigmoid(u). It
        has no gradient.

    Returns:
      0 or 1, in the dtype and shape of u.

    References:
      JMLH (Shen et al. 2019), and ymcidence/TBH:layer/binary_activation.py.
    """
    return (jax.nn.sigmoid(u) > threshold).astype(u.dtype)


@bernoulli.defjvp
def _bernoulli_jvp(primals, tangents):
    probability = jax.nn.sigmoid(primals[0])
    return bernoulli(*primals), probability * (1 - probability) * tangents[0]
