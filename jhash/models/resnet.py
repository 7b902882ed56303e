"""Residual networks of 18, 34 and 50 layers, with a hash layer on top."""

from collections.abc import Sequence
from typing import Any

import jax
from flax import linen as nn
from jax import lax

from jhash.errors import InputError
from jhash.models.layers import convolutions
from jhash.models.layers.batch_norm import BatchNorm
from jhash.models.layers.stems import choose_stem

# Sides, in pixels, from which on every stage still has pixels to halve.
_PUBLISHED_MIN_SIDE = 17
_SMALL_MIN_SIDE = 5
# From this side on "auto" is the published stem.
_AUTO_SIDE = 64
NORMS = ("batch", "folded")
# A bottleneck has this many times as many outputs as inner channels.
_EXPANSION = 4


class ResNet(nn.Module):
    """A residual network with a hash layer in place of its 1000-way layer.

    The published stem is a 7x7 convolution at stride 2 and a 3x3 max pool at stride 2; the small
    stem, for small images, is a 3x3 convolution alone. Four stages of blocks follow, of which all
    but the first halve the sides; then global average pooling and the hash layer. A basic block has
    two 3x3 convolutions. A bottleneck has a 1x1, a 3x3 and a 1x1 convolution, and the stride is
    that of the 3x3 one: torchvision's layers, called ResNet v1.5, and not the paper's.

    BatchNorm is PyTorch's: running statistics keep 0.9 of their value, and the running variance
    averages unbiased variances.

    Attributes:
      bits: Code length; 0 leaves the hash layer out, for features.
      axis_name: Mapped axis over which BatchNorm takes its statistics; None on one device.
      widths: Channels of the four stages; a bottleneck has four times as many outputs.
      blocks: Blocks of each stage: one number each, or one for all.
      stem: "published", "small", or "auto", which is published from 64 pixels on.
      slope: Slope of the activations below 0.
      dtype: Type of the factors in 3 x 3 and 1 x 1 convolutions; see `convolutions.pointwise`.
      bottleneck: Whether the blocks are bottlenecks, not basic ones.
      norm: "batch"; or "folded", with which every convolution has a bias in place of a BatchNorm,
        as published weights have it in `jhash.pretrained.resnet`.

    References:
      He et al. 2016, table 1.
    """

    bits: int
    axis_name: str | None = None
    widths: Sequence[int] = (64, 128, 256, 512)
    blocks: Sequence[int] = (2, 2, 2, 2)
    stem: str = "auto"
    slope: float = 0.0
    dtype: Any = "float32"
    bottleneck: bool = False
    norm: str = "batch"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps images to hash outputs; bit = output > 0.

        Args:
          x: Images, float32 [B, H, W, channels].
          train: Whether BatchNorm takes the batch's statistics, not the running ones.

        Returns:
          float32 [B, bits]; with `bits` 0 the averages of the last stage, [B, z].

        Raises:
          InputError: `stem` or `norm` is unknown, or the images are too small for the stem.
        """
        if self.norm not in NORMS:
            raise InputError(f"norm: {self.norm!r} given; allowed: {', '.join(NORMS)}.")
        published = _AUTO_SIDE if self.stem == "auto" else _PUBLISHED_MIN_SIDE
        name = type(self).__name__
        stem = choose_stem(name, self.stem, min(x.shape[1:3]), published, _SMALL_MIN_SIDE)
        if stem == "published":
            x = self._layer("stem", x, self.widths[0], 7, 2, train)
            # Pads with minus infinity, so that a border of negative values stays what it is.
            x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        else:
            x = self._layer("stem", x, self.widths[0], 3, 1, train)
        blocks = self.blocks
        if isinstance(blocks, int):
            blocks = (blocks,) * len(self.widths)
        for stage, (width, count) in enumerate(zip(self.widths, blocks, strict=True), 1):
            for block in range(count):
                stride = 2 if stage > 1 and not block else 1
                x = self._block(f"stage_{stage}_block_{block}", x, width, stride, train)
        x = x.mean((1, 2))
        return nn.Dense(self.bits, name="hash")(x) if self.bits else x

    def _block(self, name, x, width, stride, train):
        """A block: its convolutions, and a shortcut that changes the shape where needed."""
        if self.bottleneck:
            y = self._layer(f"{name}_first", x, width, 1, 1, train)
            y = self._layer(f"{name}_second", y, width, 3, stride, train)
            y = self._layer(f"{name}_third", y, _EXPANSION * width, 1, 1, train, False)
        else:
            y = self._layer(f"{name}_first", x, width, 3, stride, train)
            y = self._layer(f"{name}_second", y, width, 3, 1, train, False)
        if x.shape != y.shape:
            x = self._layer(f"{name}_shortcut", x, y.shape[-1], 1, stride, train, False)
        return self._activate(x + y)

    def _layer(self, name, x, width, kernel, stride, train, activate=True):
        """A convolution, BatchNorm, and an activation."""
        x = self._conv(name, x, width, kernel, stride)
        if self.norm == "folded":
            x = x + self.param(f"{name}_bias", nn.initializers.zeros, (width,))
        else:
            fused = activate and not self.slope
            x = self._batch_norm(fused, f"{name}_norm")(x, train)
            activate = activate and not fused
        return self._activate(x) if activate else x

    def _conv(self, name, x, width, kernel, stride):
        shape = (kernel, kernel, x.shape[-1], width)
        weights = self.param(name, nn.initializers.he_normal(), shape)
        if kernel < 7:
            return convolutions.conv(x, weights, self.dtype, stride)
        # The published stem. `convolutions.conv` is for small kernels.
        numbers = ("NHWC", "HWIO", "NHWC")
        padding = [(kernel // 2,) * 2] * 2
        return lax.conv_general_dilated(x, weights, (2, 2), padding, dimension_numbers=numbers)

    def _batch_norm(self, relu, name):
        return BatchNorm(relu, self.axis_name, momentum=0.9, unbiased=True, name=name)

    def _activate(self, x):
        return nn.leaky_relu(x, self.slope) if self.slope else nn.relu(x)


class ResNet18(ResNet):
    """ResNet-18: with 3 channels and 1000 outputs it has 11,689,512 parameters, as published."""


class ResNet34(ResNet):
    """ResNet-34: with 3 channels and 1000 outputs it has 21,797,672 parameters, as published."""

    blocks: Sequence[int] = (3, 4, 6, 3)


class ResNet50(ResNet):
    """ResNet-50: with 3 channels and 1000 outputs it has 25,557,032 parameters, as published."""

    blocks: Sequence[int] = (3, 4, 6, 3)
    bottleneck: bool = True
