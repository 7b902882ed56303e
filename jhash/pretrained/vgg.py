"""VGG-16 with torchvision's published ImageNet weights, such as `vgg16-397923af.pth`."""

from typing import Any

import jax

from jhash.models import vgg
from jhash.pretrained import normalization, shapes
from jhash.pretrained.named_weights import NamedWeights
from jhash.pretrained.normalization import MEAN, SCALE

__all__ = ["MEAN", "SCALE", "VGG16", "load"]

# Names of the layers in the file: its numbers count the ReLUs and the pools, too. fc6 sees 7 x 7
# pixels.
_CONVOLUTIONS = (
    *("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3"),
    *("conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3"),
)
_NUMBERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_PIXELS = 49
_CLASSES = "classifier.6."


class VGG16(vgg.VGG16):
    """VGG-16 without a hash layer: the 4,096 outputs of fc7 as features of 224 x 224 images."""

    bits: int = 0

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Maps images float32 [B, 224, 224, 3] to features float32 [B, 4096], at least 0."""
        return super().__call__(x, train)


def load(path, model: vgg.VGG16) -> dict[str, Any]:
    """Reads the layers conv1_1 to fc7; the 1000-way layer is left out.

    Args:
      path: A state dict with torchvision's names of VGG-16 without BatchNorm; see
        `named_weights.read`.
      model: The model, from which the shapes are.

    Returns:
      {layer: {"kernel": array, "bias": array}} in float32, for images of 224 x 224 pixels.

    Raises:
      InputError: The file cannot be read, or is one of another model.
    """
    weights = NamedWeights(path, "VGG-16")
    wanted = shapes.of(model)["params"]
    params = {
        name: weights.layer(f"features.{number}", wanted[name])
        for name, number in zip(_CONVOLUTIONS, _NUMBERS, strict=True)
    }
    params["fc6"] = weights.layer("classifier.0", wanted["fc6"], _PIXELS)
    params["fc7"] = weights.layer("classifier.3", wanted["fc7"])
    weights.check(_CLASSES)
    params["conv1_1"]["kernel"] = normalization.fold_scale(params["conv1_1"]["kernel"])
    return params
