"""ResNet30, DAH's model: a shortened ResNet50 of depthwise separable convolutions, with CBAM."""

from collections.abc import Sequence
from typing import Any

import jax
from flax import linen as nn

from jhash.errors import InputError
from jhash.models.layers import convolutions
from jhash.models.layers.activations import shrink_sigmoid
from jhash.models.layers.attention import CBAM
from jhash.models.layers.batch_norm import BatchNorm

ATTENTIONS = ("cbam", "none")
_STEM_CHANNELS = 64


class SeparableConv(nn.Module):
    """A depthwise separable convolution: a kernel for each channel, then a 1 x 1 convolution.

    It has no bias, because BatchNorm follows. A depthwise kernel of 1 x 1 only scales the channels;
    the scales are multiplied into the 1 x 1 convolution, which is the same function.

    Attributes:
      features: Output channels.
      kernel: Side of the depthwise kernel, odd.
      stride: Pixels between outputs. Only kernels of side 1, where ResNet50 has its strides, take
        more than 1.
      dtype: Type of the factors in the 1 x 1 convolution; see `convolutions.pointwise`.
    """

    features: int
    kernel: int = 1
    stride: int = 1
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [B, H, W, C] to float32 [B, ceil(H / stride), ceil(W / stride), features]."""
        channels = x.shape[-1]
        pointwise = self.param("pointwise", nn.initializers.he_normal(), (channels, self.features))
        shape = (self.kernel, self.kernel, channels)
        if self.kernel == 1:
            # With ones the product with the 1 x 1 convolution starts He-normal.
            scale = self.param("depthwise", nn.initializers.ones, shape)
            x = x[:, :: self.stride, :: self.stride]
            return convolutions.pointwise(x, scale.reshape(-1, 1) * pointwise, self.dtype)
        # This deviation keeps the variance: each output sums kernel x kernel inputs.
        depthwise = self.param("depthwise", nn.initializers.normal(1 / self.kernel), shape)
        return convolutions.pointwise(convolutions.depthwise(x, depthwise), pointwise, self.dtype)


class Block(nn.Module):
    """A bottleneck of three separable convolutions, 1 x 1, 3 x 3 and 1 x 1, and its shortcut.

    A conv block has a convolution in its shortcut and, as in ResNet50, the stride in its first
    convolution. An identity block adds its input.

    Attributes:
      widths: Output channels of the three convolutions.
      axis_name: Mapped axis over which BatchNorm takes its statistics; None on one device.
      stride: Stride of a conv block; None makes an identity block.
      dtype: Type of the factors in 1 x 1 convolutions; see `convolutions.pointwise`.
    """

    widths: Sequence[int]
    axis_name: str | None = None
    stride: int | None = None
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, C] to [B, ceil(H / stride), ceil(W / stride), widths[-1]]."""

        def layer(name, x, features, kernel=1, stride=1, relu=True):
            x = SeparableConv(features, kernel, stride, self.dtype, name=name)(x)
            return BatchNorm(relu, self.axis_name, name=f"{name}_norm")(x, train)

        narrow, middle, wide = self.widths
        y = layer("first", x, narrow, stride=self.stride or 1)
        y = layer("second", y, middle, kernel=3)
        y = layer("third", y, wide, relu=False)
        if self.stride:
            x = layer("shortcut", x, wide, stride=self.stride, relu=False)
        return nn.relu(x + y)


class ResNet30(nn.Module):
    """ResNet30 with a hash layer and, on the hash layer's outputs, a classification layer.

    The layers are BatchNorm; a 3x3 convolution of 64 channels, BatchNorm, ReLU; a 3x3 max pool at
    stride 1; CBAM; three stages of one conv block (stride 2) and two identity blocks, with CBAM
    after the first two stages; global average pooling; the hash layer; and, on the shrink sigmoid
    of the hash outputs, the classification layer.

    Images of every size work: each stage halves the sides, rounding up, so that 32 pixels become
    16, 8 and 4, and 28 become 14, 7 and 4. With 3 channels, 48 bits and 10 classes there are
    2,950,650 parameters. They include both dense layers and attention (42,650 parameters; 84,174 at
    reduction 8), but not the 19,846 running statistics. The paper's "87.48 % fewer than ResNet50",
    which has 23.59 M without its top, makes 2.953 M.

    Attributes:
      bits: Code length.
      axis_name: Mapped axis over which BatchNorm takes its statistics; None on one device.
      classes: Number of classes; with 0 there is no classification layer.
      attention: "cbam", or "none" (NoneA-DAH).
      reduction: Reduction of CBAM's channel attention.
      stages: Output channels of the three convolutions of a block, for each stage.
      identity_blocks: Identity blocks after the conv block of each stage.
      dtype: Type of the factors in 1 x 1 convolutions, "float32" or "bfloat16"; sums, BatchNorm
        and everything else are float32.

    References:
      DAH (Li et al. 2020), table 1.
    """

    bits: int
    axis_name: str | None = None
    classes: int = 0
    attention: str = "cbam"
    reduction: int = 16
    stages: Sequence[Sequence[int]] = ((64, 64, 256), (128, 128, 512), (256, 256, 1024))
    identity_blocks: int = 2
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array | dict[str, jax.Array]:
        """Maps images to hash outputs (bit = output > 0) and to logits of the classes.

        Args:
          x: Images, float32 [B, H, W, channels].
          train: Whether BatchNorm takes the batch's statistics, not the running ones.

        Returns:
          {"hash": hash outputs before the shrink sigmoid, float32 [B, bits], "classes": logits,
          float32 [B, classes]}; with `classes` 0 the array of hash outputs alone.

        Raises:
          InputError: `attention` or `dtype` is unknown, or `reduction` is too large.
        """
        for name, allowed in (("attention", ATTENTIONS), ("dtype", convolutions.DTYPES)):
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name}: {getattr(self, name)!r} given; allowed: {', '.join(allowed)}."
                )
        x = BatchNorm(axis_name=self.axis_name, name="input_norm")(x, train)
        shape = (3, 3, x.shape[-1], _STEM_CHANNELS)
        kernel = self.param("stem", nn.initializers.he_normal(), shape)
        x = convolutions.conv(x, kernel, self.dtype)
        x = BatchNorm(True, self.axis_name, name="stem_norm")(x, train)
        x = self._attend(convolutions.max_pool(x), "attention_0")
        for stage, widths in enumerate(self.stages, 1):
            for block in range(1 + self.identity_blocks):
                stride = None if block else 2
                name = f"stage_{stage}_block_{block}"
                x = Block(widths, self.axis_name, stride, self.dtype, name=name)(x, train)
            if stage < len(self.stages):
                x = self._attend(x, f"attention_{stage}")
        hashed = nn.Dense(self.bits, name="hash")(x.mean((1, 2)))
        if not self.classes:
            return hashed
        # The shrink sigmoid deviates from 1/2 by at most 1/4: LeCun's deviation is taken times 4.
        init = nn.initializers.variance_scaling(16.0, "fan_in", "truncated_normal")
        logits = nn.Dense(self.classes, kernel_init=init, name="classes")(shrink_sigmoid(hashed))
        return {"hash": hashed, "classes": logits}

    def _attend(self, x, name):
        return CBAM(self.reduction, name=name)(x) if self.attention == "cbam" else x
