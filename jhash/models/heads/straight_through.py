"""Binary activations with gradients of smooth ones: straight-through estimators."""

import functools

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


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def bi_half(u_BxL: jax.Array, gamma: float) -> jax.Array:
    """Computes codes of which each bit is +1 for one half of the batch, and -1 for the other.

    For each bit, the images with the B / 2 largest outputs get +1. Of equal outputs the first in
    the batch count as larger. Backward, the gradient of the codes is passed on, and
    gamma (u - b) / (B L) is added, which pulls the outputs to the codes b.

    Args:
      u_BxL: Hash outputs, any real numbers, of the global batch.
      gamma: Weight of the pull.

    Returns:
      -1 or +1, in the dtype and shape of u. If B is odd, one more image has -1 than +1.

    References:
      BiHalf (Li and van Gemert 2021), and
      liyunqianggyn/Deep-Unsupervised-Image-Hashing:ImageHashing/Cifar10_I.py of its authors.
    """
    order_BxL = jnp.argsort(u_BxL, axis=0, descending=True)
    rank_BxL = jnp.argsort(order_BxL, axis=0)
    return jnp.where(rank_BxL < len(u_BxL) // 2, 1, -1).astype(u_BxL.dtype)


def _bi_half_forward(u_BxL, gamma):
    codes_BxL = bi_half(u_BxL, gamma)
    return codes_BxL, u_BxL - codes_BxL


def _bi_half_backward(gamma, difference_BxL, gradient_BxL):
    return (gradient_BxL + gamma / difference_BxL.size * difference_BxL,)


bi_half.defvjp(_bi_half_forward, _bi_half_backward)
