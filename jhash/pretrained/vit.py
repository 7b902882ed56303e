"""ViT-B/16 and ViT-S/16 with published ImageNet weights, under timm's names or torchvision's.

Files with timm's names are taken to expect colors from -1 to 1, as those of `vit_base_patch16_224`
and `vit_small_patch16_224` do. Those with torchvision's names expect ImageNet's mean and standard
deviation. Both are folded into the layer of patches, which has no padding.
"""

from typing import Any

import jax
import numpy as np

from jhash.models import vit
from jhash.pretrained import normalization, shapes
from jhash.pretrained.named_weights import NamedWeights
from jhash.pretrained.normalization import HALF, IMAGENET_MEAN, IMAGENET_STD, SCALE

__all__ = ["MEAN", "SCALE", "ViTB16", "ViTS16", "load"]

MEAN = 127.5

# Names in files.
_TIMM = {
    "patches": "patch_embed.proj",
    "class_token": "cls_token",
    "positions": "pos_embed",
    "norm": "norm",
    "block": "blocks.{}",
    "norm1": "norm1",
    "qkv": "attn.qkv",
    "proj": "attn.proj",
    "norm2": "norm2",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
    "classes": "head.",
}
_TORCHVISION = {
    "patches": "conv_proj",
    "class_token": "class_token",
    "positions": "encoder.pos_embedding",
    "norm": "encoder.ln",
    "block": "encoder.layers.encoder_layer_{}",
    "norm1": "ln_1",
    "qkv": "self_attention.in_proj",
    "proj": "self_attention.out_proj",
    "norm2": "ln_2",
    "fc1": "mlp.0",
    "fc2": "mlp.3",
    "classes": "heads.",
}
# As the published file of torchvision has them.
_OLDER = {"fc1": "mlp.linear_1", "fc2": "mlp.linear_2"}


class _Features:
    """Calls a model for its features."""

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Maps images float32 [B, H, W, 3] to features float32 [B, width]."""
        return super().__call__(x, train)


class ViTB16(_Features, vit.ViTB16):
    """ViT-B/16 without a hash layer: 768 features."""

    bits: int = 0


class ViTS16(_Features, vit.ViTS16):
    """ViT-S/16 without a hash layer: 384 features."""

    bits: int = 0


def load(path, model: vit.ViT) -> dict[str, Any]:
    """Reads all layers but the 1000-way one.

    Args:
      path: A state dict with timm's or torchvision's names; see `named_weights.read`.
      model: The model, from which the shapes are.

    Returns:
      Parameters in float32.

    Raises:
      InputError: The file cannot be read, or is one of another model.
    """
    weights = NamedWeights(path, type(model).__name__)
    names, mean, std = _TIMM, HALF, HALF
    if "conv_proj.weight" in weights.arrays:
        names, mean, std = _TORCHVISION, IMAGENET_MEAN, IMAGENET_STD
        if f"{names['block'].format(0)}.mlp.linear_1.weight" in weights.arrays:
            names = names | _OLDER
    wanted = shapes.of(model)["params"]
    params = {
        "patches": weights.layer(names["patches"], wanted["patches"]),
        "class_token": weights.take(names["class_token"], *wanted["class_token"].shape),
        "positions": weights.take(names["positions"], *wanted["positions"].shape),
        "blocks": _blocks(weights, names, wanted["blocks"]),
        "norm": _norm(weights, names["norm"], model.width),
    }
    weights.check(names["classes"])
    patches = params["patches"]
    patches["kernel"] = normalization.fold_scale(patches["kernel"], std)
    patches["bias"] = normalization.fold_mean(patches["kernel"], patches["bias"], mean, MEAN)
    return params


def _blocks(weights, names, wanted):
    """Takes all blocks; each of their parameters gets a leading axis of blocks."""
    depth = wanted["norm1"]["scale"].shape[0]
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), wanted)
    blocks = [_block(weights, names, number, one) for number in range(depth)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *blocks)


def _block(weights, names, number, wanted):
    params = {}
    for name, leaves in wanted.items():
        theirs = f"{names['block'].format(number)}.{names[name]}"
        if name.startswith("norm"):
            params[name] = _norm(weights, theirs, leaves["scale"].shape[0])
        elif theirs.endswith("in_proj"):  # It is no layer there, so there is no dot in its names.
            inputs, outputs = leaves["kernel"].shape
            kernel = weights.take(f"{theirs}_weight", outputs, inputs).T
            params[name] = {"kernel": kernel, "bias": weights.take(f"{theirs}_bias", outputs)}
        else:
            params[name] = weights.layer(theirs, leaves)
    return params


def _norm(weights, name, width):
    scale, bias = (weights.take(f"{name}.{part}", width) for part in ("weight", "bias"))
    return {"scale": scale, "bias": bias}
