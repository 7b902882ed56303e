"""Local response normalization."""

import jax
import jax.numpy as jnp
from jax import lax


def local_response_norm(
    x: jax.Array, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> jax.Array:
    """Divides each value by a power of the energy of its neighboring channels.

    y_c = x_c (k + alpha * sum_{j in window(c)} x_j^2)^-beta, where the window holds the n channels
    around c, and channels beyond the ends count as zero.

    Args:
      x: float [..., channels].
      n: Number of channels in the window; an even window reaches one channel further up than down.
      k: Positive offset, which keeps the gradient finite at zero.
      alpha: Weight of the *sum* of squares. PyTorch and Caffe divide their alpha by n, so that
        their alpha of the same layer is n times this one.
      beta: Exponent.

    Returns:
      [..., channels], of the dtype of the input. Below float32 the powers are computed in float32.

    References:
      Krizhevsky et al. 2012, section 3.3; constants of Chatfield et al. 2014 (CNN-F).
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    ones = (1,) * (x.ndim - 1)
    padding = ((0, 0),) * (x.ndim - 1) + (((n - 1) // 2, n // 2),)
    # Both choices are for speed on a CPU. The gradient of a windowed sum is again one; that of n
    # shifted slices takes eight times as long. XLA vectorizes exp and log, but not pow.
    energy = lax.reduce_window(jnp.square(wide), 0.0, lax.add, (*ones, n), (*ones, 1), padding)
    return (wide * jnp.exp(-beta * jnp.log(k + alpha * energy))).astype(x.dtype)
