"""CNN-F, the "fast" model of eight layers of Chatfield et al. 2014, with a hash layer on top."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jhash.models import layers

# Sides, in pixels, from which on conv1 and three poolings leave at least one pixel: with the
# published conv1 (11x11 at stride 4, no padding) and with that of the small stem.
PUBLISHED_MIN_SIDE = 39
SMALL_MIN_SIDE = 8


class CNNF(nn.Module):
    """CNN-F with a linear hash layer in place of its 1000-way layer.

    The layers are conv1 11x11/4, LRN, pool; conv2 5x5, LRN, pool; conv3 to conv5 3x3; pool; fc6;
    fc7; hash, where 11x11/4 is a kernel of 11x11 at stride 4 and LRN is local response
    normalization. A ReLU follows every layer but the last. Pools are 3x3/2, padded by one pixel at
    the bottom and at the right (the original's (0, 1), PyTorch's `ceil_mode`). There are neither
    groups nor dropout, as in the hashing papers. An image of 224 pixels has sides of 54 after conv1
    and 27, 13 and 6 after the pools. conv1 to fc7 then have 56,737,536 parameters.

    *Small images.* The published conv1 leaves nothing of an image below 39 pixels. For such images
    `stem="auto"` takes the small stem: conv1 is 3x3 at stride 1, padded by 1, and everything else
    is as published, so that 28x28 pixels become 14, 7 and 3 after the pools. Published weights need
    the published stem, 3 channels and 224 pixels; resize the images to use them.

    *Training from scratch.* Scale the centered bytes by about 1/64: hash outputs then start near 1.
    On plain bytes they start near 18, where tanh has no gradient. Fresh weights are He-normal in
    layers with a ReLU and LeCun-normal in the hash layer; biases are 0.

    Attributes:
      bits: Code length; 0 leaves the hash layer out, for features.
      axis_name: Not used: CNN-F has no BatchNorm. Every model of jhash takes this field.
      dtype: Type of the computation up to fc7; parameters and outputs stay float32.
      stem: "published", "small", or "auto", which is published from 39 pixels on.
      widths: Channels of conv1 to conv5.
      hidden: Units of fc6 and of fc7.

    References:
      Chatfield et al. 2014, table 1.
    """

    bits: int
    axis_name: str | None = None
    dtype: Any = jnp.float32
    stem: str = "auto"
    widths: Sequence[int] = (64, 256, 256, 256, 256)
    hidden: int = 4096

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps images to hash outputs; bit = output > 0.

        Args:
          x: Images, float32 [B, H, W, channels]; published weights expect 0..255 minus the mean.
          train: Not used: no layer behaves differently in training.

        Returns:
          float32 [B, bits]; with `bits` 0 the outputs of fc7, [B, hidden].

        Raises:
          InputError: `stem` is unknown, or the images are too small for it.
        """
        del train
        stem = layers.choose_stem(
            "CNN-F", self.stem, min(x.shape[1:3]), PUBLISHED_MIN_SIDE, SMALL_MIN_SIDE
        )

        def conv(name: str, features: int, kernel: int, stride: int, pad: int) -> nn.Conv:
            return nn.Conv(
                features,
                (kernel, kernel),
                strides=stride,
                padding=pad,
                dtype=self.dtype,
                kernel_init=nn.initializers.he_normal(),
                name=name,
            )

        def dense(name: str) -> nn.Dense:
            return nn.Dense(
                self.hidden, dtype=self.dtype, kernel_init=nn.initializers.he_normal(), name=name
            )

        w1, w2, w3, w4, w5 = self.widths
        conv1 = conv("conv1", w1, 11, 4, 0) if stem == "published" else conv("conv1", w1, 3, 1, 1)
        x = _pool(layers.local_response_norm(nn.relu(conv1(x))))
        x = _pool(layers.local_response_norm(nn.relu(conv("conv2", w2, 5, 1, 2)(x))))
        x = nn.relu(conv("conv3", w3, 3, 1, 1)(x))
        x = nn.relu(conv("conv4", w4, 3, 1, 1)(x))
        x = _pool(nn.relu(conv("conv5", w5, 3, 1, 1)(x)))
        # Flattened in the order (row, column, channel), which is that of the published fc6.
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(dense("fc6")(x))
        x = nn.relu(dense("fc7")(x))
        x = x.astype(jnp.float32)
        return nn.Dense(self.bits, name="hash")(x) if self.bits else x


def _pool(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((0, 1), (0, 1)))
