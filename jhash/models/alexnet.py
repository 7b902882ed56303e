"""AlexNet, the single-column variant of Krizhevsky 2014, with a hash layer on top."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jhash.errors import InputError
from jhash.models import layers

# Sides from which conv1 and three pools of 3x3 leave at least one pixel.
PUBLISHED_LEAST_SIDE = 63
SMALL_LEAST_SIDE = 15


class AlexNet(nn.Module):
    """AlexNet in one column (Krizhevsky 2014), with a linear hash layer for its 1000-way one.

    conv1 11x11/4, pool; conv2 5x5, pool; conv3-5 3x3; pool; dropout, fc6; dropout, fc7; hash. ReLU
    after every layer but the last; pools are 3x3/2 without padding. The hashing papers do not say
    which AlexNet they mean. The layers here are those of torchvision's, which has neither groups
    nor local response normalisation. At 224: conv1 55, pool1 27, pool2 13, pool5 6, and 57,003,840
    parameters through fc7 (61,100,840 with the 1000-way layer).

    torchvision averages what pool5 leaves to 6x6. At 224 that is the identity; it is left out, so
    that the size of fc6 follows the input's.

    *Small inputs.* The published conv1 (stride 4) leaves nothing of an image below 63 pixels. There
    `stem="auto"` uses the small stem: conv1 as 3x3 at stride 1, padding 1, everything else as
    published, so that 28x28 runs 28, 13, 6, 2.

    *From scratch*, scale the centred bytes by about 1/64: outputs then start between 2 and 4 (seen
    on Fashion-MNIST at 28 and 224 pixels). Fresh weights are He-normal before a ReLU and
    LeCun-normal in the hash layer; biases are 0.

    Attributes:
      bits: Code length.
      axis_name: Mapped axis for synchronised BatchNorm, which every model of jhash takes. AlexNet
        has no BatchNorm and does not use it.
      dtype: Type of the computation up to fc7; parameters and outputs stay float32.
      stem: "published", "small", or "auto": published from 63 pixels on.
      widths: Channels of conv1 to conv5.
      hidden: Units of fc6 and fc7.
      dropout: Share of the inputs of fc6 and fc7 that training sets to 0 (torchvision's 0.5); the
        rest is divided by 1 - dropout.
    """

    bits: int
    axis_name: str | None = None
    dtype: Any = jnp.float32
    stem: str = "auto"
    widths: Sequence[int] = (64, 192, 384, 256, 256)
    hidden: int = 4096
    dropout: float = 0.5

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps images to real outputs; bit = output > 0.

        Args:
          x: Images, float32 [B, H, W, channels].
          train: With dropout, which draws from the random stream "dropout".

        Returns:
          float32 [B, bits].

        Raises:
          InputError: `stem` is unknown, the image is too small for it, or `dropout` is not in
            [0, 1).
        """
        stem = layers.choose_stem(
            "AlexNet", self.stem, min(x.shape[1:3]), PUBLISHED_LEAST_SIDE, SMALL_LEAST_SIDE
        )
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout: {self.dropout} given; allowed are 0 to below 1.")

        def conv(name: str, x: jax.Array, features: int, kernel: int, stride: int, pad: int):
            layer = nn.Conv(
                features,
                (kernel, kernel),
                strides=stride,
                padding=pad,
                dtype=self.dtype,
                kernel_init=nn.initializers.he_normal(),
                name=name,
            )
            return nn.relu(layer(x))

        def dense(name: str, x: jax.Array):
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
            layer = nn.Dense(
                self.hidden, dtype=self.dtype, kernel_init=nn.initializers.he_normal(), name=name
            )
            return nn.relu(layer(x))

        w1, w2, w3, w4, w5 = self.widths
        x = conv("conv1", x, w1, 11, 4, 2) if stem == "published" else conv("conv1", x, w1, 3, 1, 1)
        x = conv("conv2", _pool(x), w2, 5, 1, 2)
        x = conv("conv3", _pool(x), w3, 3, 1, 1)
        x = conv("conv4", x, w4, 3, 1, 1)
        x = _pool(conv("conv5", x, w5, 3, 1, 1))
        x = x.reshape(x.shape[0], -1)  # (row, column, channel); PyTorch has the channel first.
        x = dense("fc6", x)
        x = dense("fc7", x)
        return nn.Dense(self.bits, name="hash")(x.astype(jnp.float32))


def _pool(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (3, 3), strides=(2, 2))
