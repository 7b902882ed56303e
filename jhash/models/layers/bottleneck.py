"""F of an invertible block: the residual function, which need not be invertible itself."""

from collections.abc import Sequence
from typing import Any

import jax
from flax import linen as nn

from jhash.models.layers import convolutions
from jhash.models.layers.attention import SpatialAttention
from jhash.models.layers.batch_norm import BatchNorm

# PyTorch's initializer of convolutions, with which i-RevNet was published: a variance of
# 1 / (3 fan-in).
_INITIALIZER = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
# Which convolutions have a quarter of the channels.
BOTTLENECKS = ("both", "second")


class Bottleneck(nn.Module):
    """Three convolutions, each after spatial attention (not the third), BatchNorm and ReLU.

    The convolutions have no bias and pad by half of their kernel on every side. The stride belongs
    to the first kernel that is larger than 1, so that F sees all of its input. The paper does not
    say which one has it; i-RevNet's kernels are all 3 x 3, and the first one has it.

    Attributes:
      features: Output channels.
      hidden: Output channels of the second convolution.
      axis_name: Mapped axis over which BatchNorm takes its statistics; None on one device.
      kernels: Sides of the three kernels, odd.
      stride: 2 where the block downsamples, otherwise 1.
      leading_norm: Whether BatchNorm and ReLU precede the first convolution. They do not in the
        first block of a model.
      attention: Whether spatial attention comes before the first and the second convolution.
      dtype: Type of the factors in the convolutions; see `convolutions.pointwise`.
      bottleneck: The inner convolutions that are narrow: "both", so that the first has `hidden`
        output channels, too; or "second" alone, so that the first has four times as many.
      attention_kernel: The kernel of spatial attention; see `SpatialAttention`.

    References:
      AIHN (Li et al. 2020), section 3.3, where "the second convolutional layer has four times fewer
      channels than the other two"; i-RevNet (Jacobsen et al. 2018), whose published code narrows
      both.
    """

    features: int
    hidden: int
    axis_name: str | None = None
    kernels: Sequence[int] = (1, 3, 1)
    stride: int = 1
    leading_norm: bool = True
    attention: bool = True
    dtype: Any = "float32"
    bottleneck: str = "both"
    attention_kernel: str = "scaled"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, H, W, C] to [B, H / stride, W / stride, features]."""
        first = self.hidden if self.bottleneck == "both" else 4 * self.hidden
        widths = (first, self.hidden, self.features)
        strided = next((i for i, kernel in enumerate(self.kernels) if kernel > 1), 0)
        for i, kernel in enumerate(self.kernels):
            if self.attention and i < 2:
                x = SpatialAttention(self.attention_kernel, name=f"attention_{i}")(x)
            if self.leading_norm or i:
                x = BatchNorm(True, self.axis_name, momentum=0.9, name=f"norm_{i}")(x, train)
            shape = (kernel, kernel, x.shape[-1], widths[i])
            weights = self.param(f"conv_{i}", _INITIALIZER, shape)
            x = convolutions.conv(x, weights, self.dtype, self.stride if i == strided else 1)
        return x
