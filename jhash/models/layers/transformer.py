"""A block of a transformer's encoder."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


class EncoderBlock(nn.Module):
    """Self-attention, then a layer of hidden units, each behind a LayerNorm and with a shortcut.

    The second argument and result of a call are those of `nn.scan`, which runs blocks in a row.

    Shapes in names: B images, N tokens, D channels, H heads, E channels of a head.

    Attributes:
      heads: Heads of the attention, a divisor of the channels.
      hidden: Hidden units.
      dtype: Type of the computation; parameters stay float32.

    References:
      ViT (Dosovitskiy et al. 2021), eq. 2 and 3; the GELU is exact.
    """

    heads: int
    hidden: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x_BxNxD: jax.Array, carried: None = None) -> tuple[jax.Array, None]:
        """Maps [B, N, D] to ([B, N, D], None)."""
        width = x_BxNxD.shape[-1]
        qkv = self._dense("qkv", self._norm("norm1", x_BxNxD), 3 * width)
        qkv_BxNx3xHxE = qkv.reshape(*qkv.shape[:2], 3, self.heads, width // self.heads)
        y_BxNxHxE = jax.nn.dot_product_attention(*jnp.moveaxis(qkv_BxNx3xHxE, 2, 0))
        x_BxNxD = x_BxNxD + self._dense("proj", y_BxNxHxE.reshape(x_BxNxD.shape), width)
        y = self._dense("fc1", self._norm("norm2", x_BxNxD), self.hidden)
        return x_BxNxD + self._dense("fc2", nn.gelu(y, approximate=False), width), carried

    def _norm(self, name, x):
        # The other way to compute a variance rounds more.
        norm = nn.LayerNorm(1e-6, dtype=self.dtype, use_fast_variance=False, name=name)
        return norm(x)

    def _dense(self, name, x, width):
        initializer = nn.initializers.xavier_uniform()
        return nn.Dense(width, dtype=self.dtype, kernel_init=initializer, name=name)(x)
