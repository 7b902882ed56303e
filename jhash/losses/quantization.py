"""Quantisation losses: how far real outputs are from binary codes.

Shapes in names: B images of the (global) batch, L bits.
"""

import chex
import jax
import jax.numpy as jnp


@jax.jit
def sign_loss(u_BxL: jax.Array) -> jax.Array:
    r"""Squared distance from each image's outputs to its own code.

    ||sgn(u_i) - u_i||^2, summed over the bits; the gradient is 2 (u_i - sgn(u_i)), as the code
    counts as constant.

    Args:
      u_BxL: Relaxed codes, any real numbers.

    Returns:
      [B] in the dtype of u.

    Raises:
      AssertionError: `u_BxL` has not two axes.

    References:
      AIHN (Li et al. 2020), eq. 8. sgn(0) := -1, as a bit is u > 0 everywhere in jhash; with
      sgn(0) = 0 an output at 0, the worst place, would have neither loss nor gradient.
    """
    chex.assert_rank(u_BxL, 2)
    codes_BxL = jnp.where(u_BxL > 0, 1, -1).astype(u_BxL.dtype)
    return jnp.square(codes_BxL - u_BxL).sum(1)
