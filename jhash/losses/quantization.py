"""Quantization losses: the distance of hash outputs from binary codes.

Shapes in names: B images of the (global) batch, L bits.
"""

import chex
import jax
import jax.numpy as jnp


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
    chex.assert_rank(u_BxL, 2)
    codes_BxL = jnp.where(u_BxL > 0, 1, -1).astype(u_BxL.dtype)
    return jnp.square(codes_BxL - u_BxL).sum(1)
