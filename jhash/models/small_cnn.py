"""SmallCNN: jhash's own small backbone for 28 x 28 and 32 x 32 images, made to train on two cores.

It belongs to no paper. What keeps it fast on a CPU: the first layer works on 2 x 2 patches
(space-to-depth), so that no layer sees the full resolution, and pooling is a maximum over a
reshaped axis, whose gradient is an elementwise product and not a scatter.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax

from jhash.models.layers.pixels import space_to_depth


class SmallCNN(nn.Module):
    """Space-to-depth, then stages of 3 x 3 convolutions with BatchNorm, pooled between stages.

    Fields:
      bits: Code length.
      axis_name: Of the devices over which BatchNorm takes its statistics; None for one device.
      widths: Channels of each stage.
      convolutions: Convolutions of each stage.
      hidden: Units of the layer before the hash layer.
    """

    bits: int
    axis_name: str | None = None
    widths: Sequence[int] = (64, 128)
    convolutions: Sequence[int] = (1, 1)
    hidden: int = 256

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Float [B, H, W, channels], H and W divisible by 2^stages -> real outputs [B, bits]."""

        def normalise(x):
            return nn.BatchNorm(not train, axis_name=self.axis_name, momentum=0.9)(x)

        for width, convolutions in zip(self.widths, self.convolutions, strict=True):
            x = space_to_depth(x) if x.shape[-1] <= 3 else _max_pool(x)
            for _ in range(convolutions):
                x = nn.Conv(width, (3, 3), padding=1, use_bias=False)(x)
                x = nn.relu(normalise(x))
        x = x.reshape(len(x), -1)
        x = nn.relu(normalise(nn.Dense(self.hidden, use_bias=False)(x)))
        return nn.Dense(self.bits)(x)


def _max_pool(x):
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max((2, 4))
