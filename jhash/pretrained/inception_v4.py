"""Inception-v4, from which DSTGeH takes its features, with a loader of published weights."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from jhash.errors import InputError
from jhash.pretrained.folded_weights import FoldedWeights

FEATURES = 1536
# The published weights expect (bytes - MEAN) * SCALE, from -1 to 1.
MEAN = 127.5
SCALE = 1 / 127.5
# Whether the padding of a convolution keeps the size.
_SAME = True
_VALID = False


def _conv(channels, height=1, width=None, stride=1, same=_VALID):
    """Describes a convolution; a kernel without a width is square."""
    return channels, (height, width or height), stride, same


# Convolutions in a row; and blocks, of which each branch is such a row or begins with a pooling.
# The names of branches are those in the published file.
_STEM = (_conv(32, 3, stride=2), _conv(32, 3), _conv(64, 3, same=_SAME))
_MIXED_4A = {
    "branch0": (_conv(64), _conv(96, 3)),
    "branch1": (_conv(64), _conv(64, 1, 7, same=_SAME), _conv(64, 7, 1, same=_SAME), _conv(96, 3)),
}
_INCEPTION_A = {
    "branch0": (_conv(96),),
    "branch1": (_conv(64), _conv(96, 3, same=_SAME)),
    "branch2": (_conv(64), _conv(96, 3, same=_SAME), _conv(96, 3, same=_SAME)),
    "branch3": ("average", _conv(96)),
}
_REDUCTION_A = {
    "branch0": (_conv(384, 3, stride=2),),
    "branch1": (_conv(192), _conv(224, 3, same=_SAME), _conv(256, 3, stride=2)),
    "branch2": ("maximum",),
}
_INCEPTION_B = {
    "branch0": (_conv(384),),
    "branch1": (_conv(192), _conv(224, 1, 7, same=_SAME), _conv(256, 7, 1, same=_SAME)),
    "branch2": (
        _conv(192),
        _conv(192, 7, 1, same=_SAME),
        _conv(224, 1, 7, same=_SAME),
        _conv(224, 7, 1, same=_SAME),
        _conv(256, 1, 7, same=_SAME),
    ),
    "branch3": ("average", _conv(128)),
}
_REDUCTION_B = {
    "branch0": (_conv(192), _conv(192, 3, stride=2)),
    "branch1": (
        _conv(256),
        _conv(256, 1, 7, same=_SAME),
        _conv(320, 7, 1, same=_SAME),
        _conv(320, 3, stride=2),
    ),
    "branch2": ("maximum",),
}


class InceptionV4(nn.Module):
    """Inception-v4 in evaluation mode: BatchNorm is folded into the convolutions.

    Attributes:
      classes: Number of classes of the last layer; 0 leaves that layer out.
      dtype: Type of the factors in convolutions, whose sums are rounded to it as well: "float32" or
        "bfloat16".

    References:
      Szegedy et al. 2017, figures 3 to 9. Names and padding are those of the PyTorch port of the
      published TensorFlow weights (inceptionv4-8e4777a0.pth).
    """

    classes: int = 0
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images to features.

        Args:
          x: Images as (bytes - MEAN) * SCALE, float32 [B, H, W, 3]. The published weights were
            trained on 299 x 299 pixels; sides from 75 pixels on work.

        Returns:
          Outputs of the last pooling, float32 [B, 1536], at least 0; with `classes` logits, float32
          [B, classes].

        Raises:
          InputError: The images are too small.
        """
        if min(x.shape[1:3]) < 75:
            raise InputError(
                f"images: {x.shape[1]}x{x.shape[2]} pixels given; allowed: sides from 75 pixels on."
            )
        # Layers are numbered as in the published file, from 0 to 21.
        for number, spec in enumerate(_STEM):
            x = self._conv(f"{number}", x, spec)
        x = jnp.concatenate([_maximum(x), self._conv("3.conv", x, _conv(96, 3, stride=2))], -1)
        x = self._branches("4", x, _MIXED_4A)
        x = jnp.concatenate([self._conv("5.conv", x, _conv(192, 3, stride=2)), _maximum(x)], -1)
        number = 6
        for branches, repeats in (
            (_INCEPTION_A, 4),
            (_REDUCTION_A, 1),
            (_INCEPTION_B, 7),
            (_REDUCTION_B, 1),
        ):
            for _ in range(repeats):
                x = self._branches(f"{number}", x, branches)
                number += 1
        for number in range(19, 22):
            x = self._inception_c(f"{number}", x)
        x = x.mean((1, 2))
        return nn.Dense(self.classes, name="classes")(x) if self.classes else x

    def _inception_c(self, name, x):
        """Runs a block of type C, two of whose branches fork again."""

        def conv(branch, x, *spec):
            return self._conv(f"{name}.{branch}", x, _conv(*spec, same=_SAME))

        branch1 = conv("branch1_0", x, 384)
        branch2 = conv("branch2_0", x, 384)
        branch2 = conv("branch2_2", conv("branch2_1", branch2, 448, 3, 1), 512, 1, 3)
        outputs = [
            conv("branch0", x, 256),
            conv("branch1_1a", branch1, 256, 1, 3),
            conv("branch1_1b", branch1, 256, 3, 1),
            conv("branch2_3a", branch2, 256, 1, 3),
            conv("branch2_3b", branch2, 256, 3, 1),
            conv("branch3.1", _average(x), 256),
        ]
        return jnp.concatenate(outputs, -1)

    def _branches(self, name, x, branches):
        """Runs a block whose branches all take the same input."""
        outputs = []
        for branch, steps in branches.items():
            y = x
            for number, step in enumerate(steps):
                # In the file the steps of a branch are numbered if there is more than one.
                layer = f"{name}.{branch}" + (f".{number}" if len(steps) > 1 else "")
                if step == "average":
                    y = _average(y)
                elif step == "maximum":
                    y = _maximum(y)
                else:
                    y = self._conv(layer, y, step)
            outputs.append(y)
        return jnp.concatenate(outputs, -1)

    def _conv(self, name, x, spec):
        channels, kernel, stride, same = spec
        name = f"features.{name}"
        shape = (*kernel, x.shape[-1], channels)
        weights = self.param(f"{name}.kernel", nn.initializers.he_normal(), shape)
        bias = self.param(f"{name}.bias", nn.initializers.zeros, (channels,))
        padding, numbers = "SAME" if same else "VALID", ("NHWC", "HWIO", "NHWC")
        strides = (stride, stride)
        dtype = jnp.promote_types(x.dtype, weights.dtype)
        factors = (x, weights) if self.dtype == "float32" else _rounded(self.dtype, x, weights)
        y = lax.conv_general_dilated(*factors, strides, padding, dimension_numbers=numbers)
        return nn.relu(y.astype(dtype) + bias)


def load(path) -> dict[str, Any]:
    """Reads the published weights.

    Args:
      path: `inceptionv4-8e4777a0.pth` or a file with the same names; see `named_weights.read`.

    Returns:
      float32 parameters of `InceptionV4(classes=1000)`, or of as many classes as the file has, with
      BatchNorm folded into the convolutions. A model without classes takes all of them but
      "classes".

    Raises:
      InputError: The file cannot be read, or is one of another model.
    """
    weights = FoldedWeights(path, "Inception-v4")
    image = jax.ShapeDtypeStruct((1, 299, 299, 3), np.float32)
    shapes = jax.eval_shape(InceptionV4().init, jax.random.key(0), image)["params"]
    params = {}
    for name, leaf in shapes.items():
        layer, _, kind = name.rpartition(".")
        if kind == "bias":
            continue
        height, width, inputs, channels = leaf.shape
        params[name], params[f"{layer}.bias"] = weights.fold(
            f"{layer}.conv", f"{layer}.bn", (channels, inputs, height, width)
        )
    classes = len(weights.arrays.get("last_linear.bias", ()))
    params["classes"] = {
        "kernel": weights.dense("last_linear", (FEATURES, classes)),
        "bias": weights.take("last_linear.bias", classes),
    }
    weights.check()
    return params


def _rounded(dtype, *arrays):
    return [array.astype(dtype) for array in arrays]


def _maximum(x):
    """Takes the maximum of 3 x 3 windows at stride 2."""
    return nn.max_pool(x, (3, 3), (2, 2))


def _average(x):
    """Averages 3 x 3 windows at stride 1, over those of their pixels that lie in the image."""
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)
