"""AlexNet, the variant of one column of Krizhevsky 2014, with a hash layer on top."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jhash.errors import InputError
from jhash.models import layers

# Sides, in pixels, from which on conv1 and three poolings leave at least one pixel: with the
# published conv1 (11x11 at stride 4, padded by 2) and with that of the small stem.
PUBLISHED_MIN_SIDE = 63
SMALL_MIN_SIDE = 15


class AlexNet(nn.Module):
    """AlexNet in one column with a linear hash layer in place of its 1000-way layer.

    The layers are conv1 11x11/4, pool; conv2 5x5, pool; conv3 to conv5 3x3; pool; dropout, fc6;
    dropout, fc7; hash, where 11x11/4 is a kernel of 11x11 at stride 4. A ReLU follows every layer
    but the last. Pools are 3x3/2 without padding. The hashing papers do not say which AlexNet they
    mean. The layers here are those of torchvision's, which has neither groups nor local response
    normalization. An image of 224 pixels has sides of 55 after conv1 and 27, 13 and 6 after the
    pools. conv1 to fc7 then have 57,003,840 parameters (61,100,840 with the 1000-way layer).

    torchvision averages the last pool's output to 6x6 pixels. At 224 pixels that changes nothing.
    It is left out here, so that the size of fc6 depends on the size of the images. torchvision's
    weights fit images of 224 pixels, as `jhash.pretrained.alexnet` reads them.

    *Small images.* The published stem leaves nothing of an image below 63 pixels. For such images
    `stem="auto"` takes the small stem: conv1 is 3x3 at stride 1, padded by 1, and everything else
    is as published, so that 28x28 pixels become 13, 6 and 2 after the pools.

    *Training from scratch.* Scale the centered bytes by about 1/64: hash outputs then start between
    2 and 4 (seen on Fashion-MNIST at 28 and 224 pixels). Fresh weights are He-normal in layers with
    a ReLU and LeCun-normal in the hash layer; biases are 0.

    Attributes:
      bits: Code length; 0 leaves the hash layer out, for features.
      axis_name: Not used: AlexNet has no BatchNorm. Every model of jhash takes this field.
      dtype: Type of the computation up to fc7; parameters and outputs stay float32.
      stem: "published", "small", or "auto", which is published from 63 pixels on.
      widths: Channels of conv1 to conv5.
      hidden: Units of fc6 and of fc7.
      dropout: Share of the inputs of fc6 and of fc7 that training sets to 0 (torchvision's is 0.5);
        the other inputs are divided by 1 - dropout.

    References:
      Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks".
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
        """Maps images to hash outputs; bit = output > 0.

        Args:
          x: Images, float32 [B, H, W, channels].
          train: Whether to apply dropout, which draws from the random stream "dropout".

        Returns:
          float32 [B, bits]; with `bits` 0 the outputs of fc7, [B, hidden].

        Raises:
          InputError: `stem` is unknown, the images are too small for it, or `dropout` is not in
            [0, 1).
        """
        stem = layers.choose_stem(
            "AlexNet", self.stem, min(x.shape[1:3]), PUBLISHED_MIN_SIDE, SMALL_MIN_SIDE
        )
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout: {self.dropout} given; allowed: 0 to below 1.")

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
        # Flattened in the order (row, column, channel); in PyTorch the channel is first.
        x = x.reshape(x.shape[0], -1)
        x = dense("fc6", x)
        x = dense("fc7", x)
        x = x.astype(jnp.float32)
        return nn.Dense(self.bits, name="hash")(x) if self.bits else x


def _pool(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (3, 3), strides=(2, 2))
