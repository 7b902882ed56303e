"""VGG-16 of Simonyan and Zisserman 2015, with a hash layer on top."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jhash.errors import InputError

# Convolutions of each of the five stages: configuration D of the paper.
_CONVOLUTIONS = (2, 2, 3, 3, 3)
# Side from which on five poolings leave at least one pixel.
MIN_SIDE = 32


class VGG16(nn.Module):
    """VGG-16 with a linear hash layer in place of its 1000-way layer.

    The layers are five stages of 3x3 convolutions, conv1_1 to conv5_3, each stage followed by a
    pool of 2x2; fc6, dropout; fc7, dropout; hash. A ReLU follows every layer but the last. An image
    of 224 pixels has sides of 7 after the last pool. conv1_1 to fc7 then have 134,260,544
    parameters (138,357,544 with the 1000-way layer, as published).

    torchvision averages the last pool's output to 7x7 pixels. At 224 pixels that changes nothing.
    It is left out here, so that the size of fc6 depends on the size of the images. There is no
    BatchNorm; so training from scratch hardly succeeds.

    Attributes:
      bits: Code length; 0 leaves the hash layer out, for features.
      axis_name: Not used: VGG-16 has no BatchNorm. Every model of jhash takes this field.
      dtype: Type of the computation up to fc7; parameters and outputs stay float32.
      widths: Channels of the five stages.
      hidden: Units of fc6 and of fc7.
      dropout: Share of the outputs of fc6 and of fc7 that training sets to 0 (the paper's and
        torchvision's is 0.5); the other outputs are divided by 1 - dropout.

    References:
      Simonyan and Zisserman 2015, table 1.
    """

    bits: int
    axis_name: str | None = None
    dtype: Any = jnp.float32
    widths: Sequence[int] = (64, 128, 256, 512, 512)
    hidden: int = 4096
    dropout: float = 0.5

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps images to hash outputs; bit = output > 0.

        Args:
          x: Images, float32 [B, H, W, channels].
          train: Whether to apply dropout, which draws from the random stream "dropout".

        Returns:
          float32 [B, bits]; with `bits` 0 the outputs of fc7, [B, hidden].

        Raises:
          InputError: The images are too small, or `dropout` is not in [0, 1).
        """
        if min(x.shape[1:3]) < MIN_SIDE:
            raise InputError(
                f"images: a side of {min(x.shape[1:3])} pixels given; allowed: {MIN_SIDE} and "
                "more, for VGG16. Resize the images."
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout: {self.dropout} given; allowed: 0 to below 1.")
        options = {"dtype": self.dtype, "kernel_init": nn.initializers.he_normal()}
        for stage, (width, count) in enumerate(zip(self.widths, _CONVOLUTIONS, strict=True), 1):
            for number in range(1, count + 1):
                conv = nn.Conv(width, (3, 3), padding=1, name=f"conv{stage}_{number}", **options)
                x = nn.relu(conv(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
        # Flattened in the order (row, column, channel); in PyTorch the channel is first.
        x = x.reshape(x.shape[0], -1)
        for name in ("fc6", "fc7"):
            x = nn.relu(nn.Dense(self.hidden, name=name, **options)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = x.astype(jnp.float32)
        return nn.Dense(self.bits, name="hash")(x) if self.bits else x
