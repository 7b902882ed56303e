"""Pixels to channels and back: the invertible downsampling psi."""

import jax


def space_to_depth(x: jax.Array) -> jax.Array:
    """Turns each patch of 2 x 2 pixels with C channels into one pixel with 4 C channels.

    Args:
      x: Array [B, H, W, C], H and W even.

    Returns:
      Array [B, H/2, W/2, 4 C], channels in the order (row, column, channel).

    References:
      AIHN (Li et al. 2020), eq. 1 with theta = 4. Its w / (theta / 2) is w / 2.
    """
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, height // 2, width // 2, 4 * channels)


def depth_to_space(x: jax.Array) -> jax.Array:
    """Inverts `space_to_depth`: maps [B, H, W, 4 C] to [B, 2 H, 2 W, C]."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, 2, 2, channels // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, 2 * height, 2 * width, channels // 4)
