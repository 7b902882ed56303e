"""Quantization losses: the distance of hash outputs from binary codes.

Shapes in names: B images of the (global) batch, L bits.
"""

import functools
import math

import chex
import jax
import jax.numpy as jnp

from jhash.losses.pairwise import unit_rows


@jax.jit
def sign_loss(u_BxL: jax.Array) -> jax.Array:
    r"""Computes the squared distance from each image's hash outputs to its code.

    ||sgn(u_i) - u_i||^2, summed over the bits. The code counts as constant, so the gradient is
    2 (u_i - sgn(u_i)).

    Args:
      u_BxL: Hash outputs, any real numbers.

    Returns:
      [B] in the dtype of u.

    Raises:
      AssertionError: `u_BxL` does not have two axes.

    References:
      AIHN (Li et al. 2020), eq. 8. sgn(0) is -1, as bit = u > 0 everywhere in jhash. With
      sgn(0) = 0 an output of 0, which is farthest from a code, would have no loss and no gradient.
    """
    return jnp.square(_code(u_BxL) - u_BxL).sum(1)


@functools.partial(jax.jit, static_argnames="power")
def magnitude_loss(u_BxL: jax.Array, *, power: int) -> jax.Array:
    r"""Computes a power of the distance of each output's magnitude from 1.

    \sum_l | |u_l| - 1 |^p. With p = 2 it is `sign_loss`.

    Args:
      u_BxL: Hash outputs, any real numbers.
      power: p, 1 or more.

    Returns:
      [B] in the dtype of u, summed over the bits.

    Raises:
      ValueError: `power` is less than 1.
      AssertionError: `u_BxL` does not have two axes.

    References:
      p = 1: DSH (Liu, Wang, Shan and Chen 2016) and IDHN (Zhang et al. 2019). p = 3: GreedyHash (Su
      et al. 2018).
    """
    if power < 1:
        raise ValueError(f"power: {power} given; allowed: 1 or more.")
    return (jnp.abs(_from_code(u_BxL)) ** power).sum(1)


@jax.jit
def log_cosh_loss(u_BxL: jax.Array) -> jax.Array:
    r"""Computes log cosh of the distance of each output's magnitude from 1.

    \sum_l log cosh(|u_l| - 1), which is close to half of the squared distance for small distances
    and to the distance for large ones.

    Args:
      u_BxL: Hash outputs, any real numbers.

    Returns:
      [B] in the dtype of u, summed over the bits.

    Raises:
      AssertionError: `u_BxL` does not have two axes.

    References:
      DHN (Zhu, Long, Wang and Cao 2016): a prior with its modes at -1 and +1, made smooth. As cosh
      overflows, log cosh x is computed as |x| + log(1 + e^{-2|x|}) - log 2.
    """
    x_BxL = jnp.abs(_from_code(u_BxL))
    return (x_BxL + jax.nn.softplus(-2 * x_BxL) - math.log(2)).sum(1)


@functools.partial(jax.jit, static_argnames="gamma")
def cauchy_loss(u_BxL: jax.Array, *, gamma: float) -> jax.Array:
    r"""Computes the Cauchy loss of the angle between each image's outputs and its code.

    log(1 + d / gamma), d = L / 2 (1 - cos(|u|, 1)), where 1 is the vector of ones.

    Args:
      u_BxL: Hash outputs, any real numbers. Only their directions count.
      gamma: Scale of the distance d.

    Returns:
      [B] in the dtype of u.

    Raises:
      AssertionError: `u_BxL` does not have two axes.

    References:
      DCH (Cao, Long, Liu and Wang 2018), eq. 9.
    """
    chex.assert_rank(u_BxL, 2)
    bits = u_BxL.shape[1]
    cosine_B = (unit_rows(u_BxL) * _code(u_BxL)).sum(1) / math.sqrt(bits)
    return jnp.log1p(bits / 2 * (1 - cosine_B) / gamma)


def _code(u_BxL):
    """Returns the codes of outputs, in {-1, +1}; they have no gradient."""
    chex.assert_rank(u_BxL, 2)
    return jnp.where(u_BxL > 0, 1, -1).astype(u_BxL.dtype)


def _from_code(u_BxL):
    """Returns outputs minus their codes, whose size is | |u| - 1 |, with a gradient at 0, too."""
    return u_BxL - _code(u_BxL)
