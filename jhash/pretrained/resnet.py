"""ResNet-18, 34 and 50 with torchvision's published ImageNet weights.

The classes here are for features, and their BatchNorm is folded into the convolutions. The models
of the same names in `jhash.models.resnet` have BatchNorm, and are trained further with it.
"""

import re
from typing import Any

import jax

from jhash.models import resnet
from jhash.pretrained import normalization, shapes
from jhash.pretrained.folded_weights import PYTORCH, FoldedWeights
from jhash.pretrained.normalization import MEAN, SCALE

__all__ = ["MEAN", "SCALE", "ResNet18", "ResNet34", "ResNet50", "load"]

_CLASSES = "fc."
_NUMBERS = {"first": 1, "second": 2, "third": 3}


class _Features:
    """Calls a model in evaluation mode."""

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Maps images float32 [B, H, W, 3] to features float32 [B, z], at least 0."""
        return super().__call__(x, train)


class ResNet18(_Features, resnet.ResNet18):
    """ResNet-18 without a hash layer: 512 features."""

    bits: int = 0
    stem: str = "published"
    norm: str = "folded"


class ResNet34(_Features, resnet.ResNet34):
    """ResNet-34 without a hash layer: 512 features."""

    bits: int = 0
    stem: str = "published"
    norm: str = "folded"


class ResNet50(_Features, resnet.ResNet50):
    """ResNet-50 without a hash layer: 2,048 features."""

    bits: int = 0
    stem: str = "published"
    norm: str = "folded"


def load(path, model: resnet.ResNet) -> Any:
    """Reads all layers but the 1000-way one.

    Args:
      path: A state dict with torchvision's names; see `named_weights.read`. timm's names of these
        networks are the same.
      model: The model, from which the shapes are.

    Returns:
      (parameters, statistics of BatchNorm) in float32; or, if the model's BatchNorm is folded, the
      parameters alone.

    Raises:
      InputError: The file cannot be read, or is one of another model.
    """
    weights = FoldedWeights(path, type(model).__name__)
    params, stats = {}, {}
    for name, leaf in shapes.of(model)["params"].items():
        if not hasattr(leaf, "shape") or len(leaf.shape) != 4:
            continue  # What a norm has, or the bias of a folded one: it comes with its convolution.
        conv, norm = _names(name)
        height, width, inputs, outputs = leaf.shape
        if model.norm == "folded":
            shape = (outputs, inputs, height, width)
            params[name], params[f"{name}_bias"] = weights.fold(conv, norm, shape, PYTORCH)
            continue
        params[name] = weights.conv(conv, leaf.shape)
        scale, bias, mean, var = (
            weights.take(f"{norm}.{part}", outputs)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        params[f"{name}_norm"] = {"scale": scale, "bias": bias}
        stats[f"{name}_norm"] = {"mean": mean, "var": var}
    weights.check(_CLASSES)
    params["stem"] = normalization.fold_scale(params["stem"])
    return params if model.norm == "folded" else (params, stats)


def _names(name):
    """Returns the names that a convolution and the BatchNorm behind it have in the file."""
    if name == "stem":
        return "conv1", "bn1"
    stage, block, layer = re.fullmatch(r"stage_(\d+)_block_(\d+)_(\w+)", name).groups()
    place = f"layer{stage}.{block}"
    if layer == "shortcut":
        return f"{place}.downsample.0", f"{place}.downsample.1"
    return f"{place}.conv{_NUMBERS[layer]}", f"{place}.bn{_NUMBERS[layer]}"
