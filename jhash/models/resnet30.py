"""ResNet30, DAH's network: a shortened ResNet50 of depthwise separable convolutions, with CBAM."""

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
_STEM = 64


class SeparableConv(nn.Module):
    """Depthwise separable convolution: a kernel for each channel, then a 1 x 1 convolution.

    Without bias, as BatchNorm follows. A depthwise kernel of 1 x 1 only scales the channels; the
    scale is multiplied into the 1 x 1 convolution, which is the same function.

    Attributes:
      features: Output channels.
      kernel: Side of the depthwise kernel, odd.
      stride: Of the output; more than 1 for `kernel` 1 alone, where ResNet50 has it.
      dtype: Of the factors in the 1 x 1 convolution; see `convolutions.pointwise`.
    """

    features: int
    kernel: int = 1
    stride: int = 1
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[B, H, W, C] -> float32 [B, ceil(H / stride), ceil(W / stride), features]."""
        channels = x.shape[-1]
        pointwise = self.param("pointwise", nn.initializers.he_normal(), (channels, self.features))
        shape = (self.kernel, self.kernel, channels)
        if self.kernel == 1:
            # Ones leave the 1 x 1 convolution He-normal.
            scale = self.param("depthwise", nn.initializers.ones, shape)
            x = x[:, :: self.stride, :: self.stride]
            return convolutions.pointwise(x, scale.reshape(-1, 1) * pointwise, self.dtype)
        # Keeps the variance: the kernel's size is the fan-in of each output.
        depthwise = self.param("depthwise", nn.initializers.normal(1 / self.kernel), shape)
        return convolutions.pointwise(convolutions.depthwise(x, depthwise), pointwise, self.dtype)


class Block(nn.Module):
    """A bottleneck of three separable convolutions, 1 x 1, 3 x 3, 1 x 1, and its shortcut.

    The conv block has a convolution in its shortcut and the stride in its first one, as ResNet50's;
    the identity block adds its input.

    Attributes:
      widths: Output channels of the three convolutions.
      axis_name: Mapped axis for BatchNorm.
      stride: Of the conv block; None makes an identity block.
      dtype: As in `SeparableConv`.
    """

    widths: Sequence[int]
    axis_name: str | None = None
    stride: int | None = None
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), widths[-1]]."""

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
    """ResNet30 (DAH, Table 1).

    BN; 3x3x64 convolution, BN, ReLU; 3x3/1 max pool; CBAM; three stages of one conv block (stride
    2) and two identity blocks, CBAM after the first two; global average pool; the hash layer and,
    on its shrink sigmoid, the classification layer.

    Every size of input works: each stage halves the sides, rounding up (32: 32, 16, 8, 4; 28: 28,
    14, 7, 4). With 3 channels, 48 bits and 10 classes it has 2,950,650 parameters: both dense
    layers and attention included (42,650; 84,174 at reduction 8), the 19,846 running statistics
    not. The paper's "87.48 % fewer than ResNet50" (23.59 M without its top) makes 2.953 M.

    Attributes:
      bits: Code length.
      axis_name: Mapped axis over which BatchNorm takes its statistics; None on one device.
      classes: Of the classification layer; 0: there is none.
      attention: "cbam", or "none" (NoneA-DAH).
      reduction: CBAM's.
      stages: Output channels of the three convolutions of a block, for each stage.
      identity_blocks: Identity blocks after the conv block of each stage.
      dtype: Of the factors in the 1 x 1 convolutions, "float32" or "bfloat16"; sums, BatchNorm and
        all else are float32.
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
        """Maps images to hash outputs (bit = output > 0) and classes.

        Args:
          x: Images, float32 [B, H, W, channels].
          train: BatchNorm takes the batch's statistics, not the running ones.

        Returns:
          {"hash": float32 [B, bits], before the shrink sigmoid, "classes": float32 [B, classes],
          logits}; with `classes` 0 the former alone.

        Raises:
          InputError: `attention` or `dtype` is unknown, or `reduction` too large.
        """
        for name, allowed in (("attention", ATTENTIONS), ("dtype", convolutions.DTYPES)):
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name}: {getattr(self, name)!r} given; allowed are {', '.join(allowed)}."
                )
        x = BatchNorm(axis_name=self.axis_name, name="input_norm")(x, train)
        kernel = self.param("stem", nn.initializers.he_normal(), (3, 3, x.shape[-1], _STEM))
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
        # The shrink sigmoid deviates from 1/2 by at most 1/4: LeCun's deviation times 4.
        init = nn.initializers.variance_scaling(16.0, "fan_in", "truncated_normal")
        logits = nn.Dense(self.classes, kernel_init=init, name="classes")(shrink_sigmoid(hashed))
        return {"hash": hashed, "classes": logits}

    def _attend(self, x, name):
        return CBAM(self.reduction, name=name)(x) if self.attention == "cbam" else x
