"""Inception-v4, of which DSTGeH takes its features, with a loader of published weights."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from jhash.errors import InputError
from jhash.pretrained.folded_weights import FoldedWeights

FEATURES = 1536
# What the published weights want: (bytes - MEAN) * SCALE, from -1 to 1.
MEAN, SCALE = 127.5, 1 / 127.5
# A convolution: channels, kernel (height, width), stride, and whether padding keeps the size.
_NONE, _SAME = False, True


def _conv(channels, height=1, width=None, stride=1, same=_NONE):
    return channels, (height, width or height), stride, same


# Parts in a row: a name and a convolution, or branches. The names are those of the published file.
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
      classes: Of the last layer; 0 leaves it out.

    Source: Szegedy et al. 2017, figures 3 to 9; names and padding as in the PyTorch port of the
    published TensorFlow weights (inceptionv4-8e4777a0.pth).
    """

    classes: int = 0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps images to features.

        Args:
          x: float32 [B, H, W, 3], (bytes - MEAN) * SCALE; 299 x 299 in training, sides from 75 on
            work.

        Returns:
          float32 [B, 1536], at least 0, of the last pooling; with `classes` [B, classes] logits.

        Raises:
          InputError: The images are too small.
        """
        if min(x.shape[1:3]) < 75:
            raise InputError(
                f"images: {x.shape[1]}x{x.shape[2]} pixels given; InceptionV4 takes sides from 75 "
                "pixels on."
            )
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
        """Whose branches fork again."""

        def conv(part, x, *spec):
            return self._conv(f"{name}.{part}", x, _conv(*spec, same=_SAME))

        first = conv("branch1_0", x, 384)
        second = conv("branch2_0", x, 384)
        second = conv("branch2_2", conv("branch2_1", second, 448, 3, 1), 512, 1, 3)
        parts = [
            conv("branch0", x, 256),
            conv("branch1_1a", first, 256, 1, 3),
            conv("branch1_1b", first, 256, 3, 1),
            conv("branch2_3a", second, 256, 1, 3),
            conv("branch2_3b", second, 256, 3, 1),
            conv("branch3.1", _average(x), 256),
        ]
        return jnp.concatenate(parts, -1)

    def _branches(self, name, x, branches):
        found = []
        for branch, steps in branches.items():
            y = x
            for number, step in enumerate(steps):
                # A branch of one step is no sequence in the file.
                place = f"{name}.{branch}" + (f".{number}" if len(steps) > 1 else "")
                if step == "average":
                    y = _average(y)
                elif step == "maximum":
                    y = _maximum(y)
                else:
                    y = self._conv(place, y, step)
            found.append(y)
        return jnp.concatenate(found, -1)

    def _conv(self, name, x, spec):
        channels, kernel, stride, same = spec
        name = f"features.{name}"
        shape = (*kernel, x.shape[-1], channels)
        weights = self.param(f"{name}.kernel", nn.initializers.he_normal(), shape)
        bias = self.param(f"{name}.bias", nn.initializers.zeros, (channels,))
        padding, numbers = "SAME" if same else "VALID", ("NHWC", "HWIO", "NHWC")
        strides = (stride, stride)
        y = lax.conv_general_dilated(x, weights, strides, padding, dimension_numbers=numbers)
        return nn.relu(y + bias)


def load(path) -> dict[str, Any]:
    """The published weights.

    Args:
      path: `inceptionv4-8e4777a0.pth` or a file with the same names; no code of it is run.

    Returns:
      float32 parameters for `InceptionV4(classes=1000)`, or as many classes as the file has, with
      BatchNorm's statistics folded in; `classes` may be left out by a network without them.

    Raises:
      InputError: The file cannot be read, or an array is missing, too much or of another shape.
    """
    weights = FoldedWeights(path, "Inception-v4")
    image = jax.ShapeDtypeStruct((1, 299, 299, 3), np.float32)
    shapes = jax.eval_shape(InceptionV4().init, jax.random.key(0), image)["params"]
    params = {}
    for name, shape in shapes.items():
        layer, part = name.rsplit(".", 1)
        if part == "bias":
            continue
        height, width, inputs, channels = shape.shape
        params[name], params[f"{layer}.bias"] = weights.fold(
            f"{layer}.conv", f"{layer}.bn", (channels, inputs, height, width)
        )
    classes = len(weights.arrays.get("last_linear.bias", ()))
    params["classes"] = {
        "kernel": np.float32(weights.take("last_linear.weight", classes, FEATURES).T),
        "bias": np.float32(weights.take("last_linear.bias", classes)),
    }
    weights.check_all_taken()
    return params


def _maximum(x):
    return nn.max_pool(x, (3, 3), (2, 2))


def _average(x):
    """Over the pixels that a window has inside of the image."""
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)
