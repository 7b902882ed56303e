"""AlexNet with torchvision's published ImageNet weights, such as `alexnet-owt-7be5be79.pth`."""

from typing import Any

import jax

from jhash.models import alexnet
from jhash.pretrained import normalization, shapes
from jhash.pretrained.named_weights import NamedWeights
from jhash.pretrained.normalization import MEAN, SCALE

__all__ = ["MEAN", "SCALE", "AlexNet", "load"]

# Names of the layers in the file. fc6 sees 6 x 6 pixels.
_LAYERS = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
}
_PIXELS = 36
_CLASSES = "classifier.6."


class AlexNet(alexnet.AlexNet):
    """AlexNet without a hash layer: the 4,096 outputs of fc7 as features of 224 x 224 images."""

    bits: int = 0
    stem: str = "published"

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Maps images float32 [B, 224, 224, 3] to features float32 [B, 4096], at least 0."""
        return super().__call__(x, train)


def load(path, model: alexnet.AlexNet) -> dict[str, Any]:
    """Reads the layers conv1 to fc7; the 1000-way layer is left out.

    Args:
      path: A state dict with torchvision's names; see `named_weights.read`.
      model: The model, from which the shapes are.

    Returns:
      {layer: {"kernel": array, "bias": array}} in float32, for images of 224 x 224 pixels.

    Raises:
      InputError: The file cannot be read, or is one of another model.
    """
    weights = NamedWeights(path, "AlexNet")
    wanted = shapes.of(model)["params"]
    params = {
        name: weights.layer(theirs, wanted[name], _PIXELS if name == "fc6" else 1)
        for name, theirs in _LAYERS.items()
    }
    weights.check(_CLASSES)
    params["conv1"]["kernel"] = normalization.fold_scale(params["conv1"]["kernel"])
    return params
