"""CNN-F, the eight-layer "fast" network of Chatfield et al. 2014, with a hash layer on top."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jhash.models import layers

# conv1's 11x11 at stride 4 and three halvings leave at least one pixel from this side on.
PUBLISHED_LEAST_SIDE = 39
SMALL_LEAST_SIDE = 8


class CNNF(nn.Module):
    """CNN-F (Chatfield et al. 2014, table 1) with a linear hash layer for its 1000-way one.

    conv1 11x11/4, LRN, pool; conv2 5x5, LRN, pool; conv3-5 3x3; pool; fc6; fc7; hash. ReLU after
    every layer but the last; pools are 3x3/2, padded by one at the bottom and right (the original's
    (0, 1), PyTorch's `ceil_mode`). Neither groups nor dropout, as in the hashing papers. At 224:
    conv1 54, pool1 27, pool2 13, pool5 6, and 56,737,536 parameters through fc7.

    *Small inputs.* The published conv1 (stride 4, no padding) leaves nothing of an image below 39
    pixels. There `stem="auto"` uses the small stem: conv1 as 3x3 at stride 1, padding 1, everything
    else as published, so that 28x28 runs 28, 14, 7, 3. Published weights need `"published"`,
    3 channels and 224 pixels; resize the images to use them.

    *From scratch*, scale the centred bytes by about 1/64: the outputs then start near 1 (near 18 on
    plain bytes, where tanh has no gradient). Fresh weights are He-normal before a ReLU and
    LeCun-normal in the hash layer; biases are 0.

    Attributes:
      bits: Code length; 0 leaves the hash layer out, for features.
      axis_name: Mapped axis for synchronised BatchNorm, which every model of jhash takes. CNN-F has
        no BatchNorm and does not use it.
      dtype: Type of the computation up to fc7; parameters and outputs stay float32.
      stem: "published", "small", or "auto": published from 39 pixels on.
      widths: Channels of conv1 to conv5.
      hidden: Units of fc6 and fc7.
    """

    bits: int
    axis_name: str | None = None
    dtype: Any = jnp.float32
    stem: str = "auto"
    widths: Sequence[int] = (64, 256, 256, 256, 256)
    hidden: int = 4096

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps images to real outputs; bit = output > 0.

        Args:
          x: Images, float32 [B, H, W, channels]; published weights expect 0..255 minus the mean.
          train: Unused, as no layer behaves differently in training.

        Returns:
          float32 [B, bits]; with `bits` 0 the outputs of fc7, [B, hidden].

        Raises:
          InputError: `stem` is unknown, or the image is too small for it.
        """
        del train
        stem = layers.choose_stem(
            "CNN-F", self.stem, min(x.shape[1:3]), PUBLISHED_LEAST_SIDE, SMALL_LEAST_SIDE
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
        x = x.reshape(x.shape[0], -1)  # (row, column, channel), the order of the published fc6.
        x = nn.relu(dense("fc6")(x))
        x = nn.relu(dense("fc7")(x))
        x = x.astype(jnp.float32)
        return nn.Dense(self.bits, name="hash")(x) if self.bits else x


def _pool(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((0, 1), (0, 1)))
