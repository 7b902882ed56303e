"""SmallCNN: jhash's own small model for images of 28 x 28 and 32 x 32 pixels.

It belongs to no paper, and it is made to train on two cores. Two choices make it fast on a CPU. The
first layer works on patches of 2 x 2 pixels (space-to-depth), so that no layer sees the full
resolution. Pooling is a maximum over a reshaped axis, whose gradient is an elementwise product and
not a scatter.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jhash.models.layers.pixels import space_to_depth


class SmallCNN(nn.Module):
    """Space-to-depth, then stages of 3 x 3 convolutions with BatchNorm, pooled between stages.

    Attributes:
      bits: Code length.
      axis_name: Mapped axis over which BatchNorm takes its statistics; None on one device.
      widths: Channels of each stage.
      convolutions: Number of convolutions of each stage.
      hidden: Units of the layer before the hash layer.
      dtype: Type of the computation up to the hash layer, "float32" or "bfloat16"; parameters,
        BatchNorm and outputs stay float32.
    """

    bits: int
    axis_name: str | None = None
    widths: Sequence[int] = (64, 128)
    convolutions: Sequence[int] = (1, 1)
    hidden: int = 256
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps images to hash outputs; bit = output > 0.

        Args:
          x: Images, float [B, H, W, channels], H and W divisible by 2^(number of stages).
          train: Whether BatchNorm takes the batch's statistics, not the running ones.

        Returns:
          float32 [B, bits].
        """

        def normalize(x):
            return nn.BatchNorm(not train, axis_name=self.axis_name, momentum=0.9)(x)

        # None is the type of the images and parameters together, as in tests with float64.
        dtype = None if self.dtype == "float32" else self.dtype

        for width, convolutions in zip(self.widths, self.convolutions, strict=True):
            # Images have at most 3 channels, the output of a stage has more.
            x = space_to_depth(x) if x.shape[-1] <= 3 else _max_pool(x)
            for _ in range(convolutions):
                x = nn.Conv(width, (3, 3), padding=1, use_bias=False, dtype=dtype)(x)
                x = nn.relu(normalize(x))
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(normalize(nn.Dense(self.hidden, use_bias=False, dtype=dtype)(x)))
        return nn.Dense(self.bits)(x)


def _max_pool(x):
    """Takes the maximum of each patch of 2 x 2 pixels: [B, H, W, C] -> [B, H/2, W/2, C]."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max((2, 4))
