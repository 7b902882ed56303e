"""A hash function on the features of a pretrained model: what shallow methods fit."""

import jax
from flax import linen as nn

from jhash.system import imports


class FeatureHash(nn.Module):
    """The features of a pretrained model, and a shallow method's `encode` on them.

    Attributes:
      bits: Code length.
      axis_name: Not used: nothing here is trained.
      backbone: `module.Class` of `jhash.pretrained` or of the user's, from images to features.
      method: A module of `jhash.methods.shallow` or of the user's.
    """

    bits: int
    axis_name: str | None = None
    backbone: str = "efficientnet_lite.EfficientNetLite0"
    method: str = "itq"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps images to hash outputs; bit = output > 0.

        Args:
          x: Images, float32 [B, H, W, C].
          train: Not used.

        Returns:
          float32 [B, bits]; while parameters are initialized, the features, float32 [B, z].

        Raises:
          InputError: `backbone` or `method` is unknown.
        """
        del train
        backbone = imports.find_attribute(
            self.backbone, "jhash.pretrained", "config.model.backbone"
        )
        x = backbone(name="backbone")(x)
        if self.is_initializing():
            return x  # What is fitted later takes its place under the name "hash".
        method = imports.find_module(self.method, "jhash.methods.shallow", "config.model.method")
        return method.encode(self.get_variable("params", "hash"), x)
