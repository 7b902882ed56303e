"""Functions that more than one backbone or method uses."""

import jax
import jax.numpy as jnp
from jax import lax

from jhash.errors import InputError

STEMS = ("auto", "published", "small")


def local_response_norm(
    x: jax.Array, n: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> jax.Array:
    """Divides each value by a power of the energy of its neighbouring channels.

    y_c = x_c (k + alpha * sum_{j in window(c)} x_j^2)^-beta, where the window holds the n channels
    around c and channels beyond the ends count as zero.

    Args:
      x: [..., channels], real.
      n: Channels in the window; an even n reaches one further up than down.
      k: Positive offset; it keeps the gradient finite at zero.
      alpha: Weight of the *sum* of squares. PyTorch and Caffe divide their alpha by n, so that
        their alpha of the same layer is n times this one.
      beta: Exponent.

    Returns:
      [..., channels], dtype of `x`. Below float32 the powers are computed in float32.

    Source: Krizhevsky et al. 2012, section 3.3; constants of Chatfield et al. 2014 (CNN-F).
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    ones = (1,) * (x.ndim - 1)
    padding = ((0, 0),) * (x.ndim - 1) + (((n - 1) // 2, n // 2),)
    # One windowed sum: its transpose is again one, where the gradient of n shifted slices takes
    # eight times as long on the CPU. exp(log) for the same reason: XLA vectorises it, not pow.
    energy = lax.reduce_window(jnp.square(wide), 0.0, lax.add, (*ones, n), (*ones, 1), padding)
    return (wide * jnp.exp(-beta * jnp.log(k + alpha * energy))).astype(x.dtype)


def shrink_sigmoid(x: jax.Array) -> jax.Array:
    """The sigmoid, shrunk to [1/4, 3/4]: 1/4 + sigmoid(x) / 2, real of any shape.

    Source: DAH eq. 1.
    """
    return 0.25 + 0.5 * jax.nn.sigmoid(x)


def choose_stem(network: str, stem: str, side: int, published: int, small: int) -> str:
    """The first convolution of a network that was published for large images.

    Args:
      network: Its name, for messages.
      stem: "published", "small" (3x3 at stride 1), or "auto": published where the image suffices.
      side: The image's smaller side in pixels.
      published: From this side on the published convolution leaves a pixel.
      small: From this side on the small one does.

    Returns:
      "published" or "small".

    Raises:
      InputError: `stem` is none of the three, or the image too small for it.
    """
    if stem not in STEMS:
        raise InputError(f"stem: {stem!r} given; allowed are {', '.join(STEMS)}.")
    if stem == "auto":
        stem = "published" if side >= published else "small"
    least = published if stem == "published" else small
    if side < least:
        raise InputError(
            f"images: a side of {side} pixels given; {network} with the {stem} stem needs at least "
            f"{least}. Resize them (stem='small' takes sides from {small} on)."
        )
    return stem


def space_to_depth(x: jax.Array) -> jax.Array:
    """The invertible downsampling psi: 2 x 2 pixels of C channels become one of 4 C.

    Args:
      x: [B, H, W, C], H and W even.

    Returns:
      [B, H/2, W/2, 4 C], channels in the order (row, column, channel).

    Source: AIHN eq. 1 with theta = 4. Its w / (theta / 2) is w / 2.
    """
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, height // 2, width // 2, 4 * channels)


def depth_to_space(x: jax.Array) -> jax.Array:
    """The inverse of `space_to_depth`: [B, H, W, 4 C] -> [B, 2 H, 2 W, C]."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, 2, 2, channels // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, 2 * height, 2 * width, channels // 4)
