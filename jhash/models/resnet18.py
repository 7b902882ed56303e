"""ResNet-18 with leaky ReLUs, the model that DSTGeH trains on its pseudo labels."""

from collections.abc import Sequence
from typing import Any

import jax
from flax import linen as nn
from jax import lax

from jhash.models.layers import convolutions
from jhash.models.layers.batch_norm import BatchNorm
from jhash.models.layers.stems import choose_stem

# Sides, in pixels, from which on every stage still has pixels to halve.
_PUBLISHED_MIN_SIDE = 17
_SMALL_MIN_SIDE = 5
# From this side on "auto" is the published stem.
_AUTO_SIDE = 64


class ResNet18(nn.Module):
    """ResNet-18 with a leaky ReLU in place of each ReLU, and a hash layer.

    The published stem is a 7x7 convolution of 64 channels at stride 2 and a 3x3 max pool at stride
    2; the small stem, for small images, is a 3x3 convolution alone. Four stages of two basic blocks
    follow, of which all but the first halve the sides; then global average pooling and the hash
    layer. With 3 channels and 1000 outputs it has 11,689,512 parameters, as published.

    Attributes:
      bits: Code length.
      axis_name: Mapped axis over which BatchNorm takes its statistics; None on one device.
      widths: Channels of the four stages.
      blocks: Basic blocks of each stage.
      stem: "published", "small", or "auto", which is published from 64 pixels on.
      slope: Slope of the leaky ReLU below 0; the paper's lambda.
      dtype: Type of the factors in 3 x 3 and 1 x 1 convolutions; see `convolutions.pointwise`.

    References:
      He et al. 2016, table 1; DSTGeH (Liu et al. 2020), eq. 10.
    """

    bits: int
    axis_name: str | None = None
    widths: Sequence[int] = (64, 128, 256, 512)
    blocks: int = 2
    stem: str = "auto"
    slope: float = 0.2
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps images to hash outputs; bit = output > 0.

        Args:
          x: Images, float32 [B, H, W, channels].
          train: Whether BatchNorm takes the batch's statistics, not the running ones.

        Returns:
          float32 [B, bits].

        Raises:
          InputError: `stem` is unknown, or the images are too small for it.
        """
        published = _AUTO_SIDE if self.stem == "auto" else _PUBLISHED_MIN_SIDE
        stem = choose_stem("ResNet18", self.stem, min(x.shape[1:3]), published, _SMALL_MIN_SIDE)
        if stem == "published":
            x = self._activate("stem", self._conv("stem", x, self.widths[0], 7, 2), train)
            # Pads with minus infinity, so that a border of negative values stays what it is.
            x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        else:
            x = self._activate("stem", self._conv("stem", x, self.widths[0], 3), train)
        for stage, width in enumerate(self.widths, 1):
            for block in range(self.blocks):
                stride = 2 if stage > 1 and not block else 1
                x = self._block(f"stage_{stage}_block_{block}", x, width, stride, train)
        return nn.Dense(self.bits, name="hash")(x.mean((1, 2)))

    def _block(self, name, x, width, stride, train):
        """A basic block: two convolutions, and a shortcut that changes the shape where needed."""
        y = self._conv(f"{name}_first", x, width, 3, stride)
        y = self._conv(f"{name}_second", self._activate(f"{name}_first", y, train), width, 3)
        y = self._norm(f"{name}_second", y, train)
        if x.shape != y.shape:
            x = self._conv(f"{name}_shortcut", x, width, 1, stride)
            x = self._norm(f"{name}_shortcut", x, train)
        return nn.leaky_relu(x + y, self.slope)

    def _conv(self, name, x, width, kernel, stride=1):
        shape = (kernel, kernel, x.shape[-1], width)
        weights = self.param(name, nn.initializers.he_normal(), shape)
        if kernel < 7:
            return convolutions.conv(x, weights, self.dtype, stride)
        # The published stem. `convolutions.conv` is for small kernels.
        numbers = ("NHWC", "HWIO", "NHWC")
        padding = [(kernel // 2,) * 2] * 2
        return lax.conv_general_dilated(x, weights, (2, 2), padding, dimension_numbers=numbers)

    def _activate(self, name, x, train):
        return nn.leaky_relu(self._norm(name, x, train), self.slope)

    def _norm(self, name, x, train):
        return BatchNorm(False, self.axis_name, name=f"{name}_norm")(x, train)
