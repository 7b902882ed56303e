"""Vision transformers: ViT-B/16 and ViT-S/16, with a hash layer on top."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jhash.errors import InputError
from jhash.models.layers.transformer import EncoderBlock


class ViT(nn.Module):
    """A vision transformer with a linear hash layer in place of its 1000-way layer.

    The image is cut into patches, each of which becomes a token. A class token is put in front of
    them, and learned positions are added. Behind the blocks and a LayerNorm the class token gives
    the hash outputs. There is no dropout: timm's and torchvision's networks have none by default.

    Positions are parameters of a grid of `grid` x `grid` patches, 14 x 14 as published for 224
    pixels. For images of another size the grid is resized to theirs (bicubic), so that published
    weights fit any size that the patches divide.

    All blocks are one scanned block, whose parameters have a leading axis of `depth`.

    Attributes:
      bits: Code length; 0 leaves the hash layer out, for features.
      axis_name: Not used: there is no BatchNorm. Every model of jhash takes this field.
      dtype: Type of the computation up to the last LayerNorm; parameters and outputs stay float32.
      patch: Side of a patch in pixels.
      width: Channels of a token.
      depth: Number of blocks.
      heads: Heads of the attention, a divisor of the width.
      hidden: Hidden units of a block.
      grid: Number of patches along a side for which there are positions.

    References:
      Dosovitskiy et al. 2021, table 1; ViT-S/16 is that of Touvron et al. 2021 and of Steiner et
      al. 2022.
    """

    bits: int
    axis_name: str | None = None
    dtype: Any = jnp.float32
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    grid: int = 14

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps images to hash outputs; bit = output > 0.

        Args:
          x: Images, float32 [B, H, W, channels].
          train: Not used: no layer behaves differently in training.

        Returns:
          float32 [B, bits]; with `bits` 0 the class token, [B, width].

        Raises:
          InputError: The patches do not divide the images, or the heads not the width.
        """
        del train
        if any(side % self.patch or not side for side in x.shape[1:3]):
            raise InputError(
                f"images: {x.shape[1]}x{x.shape[2]} pixels given; allowed: multiples of "
                f"{self.patch}, the side of a patch."
            )
        if not self.heads or self.width % self.heads:
            raise InputError(
                f"heads: {self.heads} given; allowed: divisors of the width, {self.width}."
            )
        side = (self.patch, self.patch)
        patches = nn.Conv(self.width, side, side, "VALID", dtype=self.dtype, name="patches")
        x = patches(x)
        rows, columns = x.shape[1:3]
        token = self.param("class_token", nn.initializers.zeros, (1, 1, self.width))
        x = x.reshape(x.shape[0], -1, self.width)
        x = jnp.concatenate([jnp.broadcast_to(token, (x.shape[0], 1, self.width)), x], axis=1)
        shape = (1, 1 + self.grid**2, self.width)
        positions = self.param("positions", nn.initializers.normal(0.02), shape)
        x = (x + resized(positions, rows, columns)).astype(self.dtype)
        blocks = nn.scan(
            EncoderBlock,
            variable_axes={"params": 0},
            split_rngs={"params": True},
            length=self.depth,
        )
        x, _ = blocks(self.heads, self.hidden, self.dtype, name="blocks")(x, None)
        norm = nn.LayerNorm(1e-6, dtype=self.dtype, use_fast_variance=False, name="norm")
        x = norm(x[:, 0]).astype(jnp.float32)
        return nn.Dense(self.bits, name="hash")(x) if self.bits else x


def resized(positions: jax.Array, rows: int, columns: int) -> jax.Array:
    """Resizes the positions of a square grid of patches to another grid.

    Args:
      positions: What is added to the class token and, row by row, to the patches of the square
        grid, [1, 1 + side * side, D].
      rows: Number of rows of the other grid.
      columns: Number of its columns.

    Returns:
      [1, 1 + rows * columns, D]; the class token's position is as it was.
    """
    side = math.isqrt(positions.shape[1] - 1)
    if (rows, columns) == (side, side):
        return positions
    width = positions.shape[2]
    grid = positions[:, 1:].reshape(1, side, side, width)
    grid = jax.image.resize(grid, (1, rows, columns, width), "bicubic")
    return jnp.concatenate([positions[:, :1], grid.reshape(1, -1, width)], axis=1)


class ViTB16(ViT):
    """ViT-B/16: 86,567,656 parameters with 3 channels and 1000 outputs, as published."""


class ViTS16(ViT):
    """ViT-S/16: 22,050,664 parameters with 3 channels and 1000 outputs, as published."""

    width: int = 384
    heads: int = 6
    hidden: int = 1536
