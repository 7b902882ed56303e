"""A hash function on the features of a pretrained model, which shallow methods fit."""

import jax
from flax import linen as nn

from jhash.system import imports


class FeatureHash(nn.Module):
    """A pretrained model that computes features, and a shallow method's `encode` on them.

    Attributes:
      bits: Code length.
      axis_name: Not used: nothing here is trained by gradient.
      backbone: `module.Class` of `jhash.pretrained` or of a user's file: a flax module that maps
        images to features.
      method: Name of a module of `jhash.methods.shallow` or of a user's file.
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
          InputError: `backbone` or `method` names nothing that exists.
        """
        del train
        backbone = imports.find_attribute(self.backbone, "jhash.pretrained", "backbone")
        features_Bxz = backbone(name="backbone")(x)
        if self.is_initializing():
            # There is no hash function yet. Fitting adds its parameters under the name "hash".
            return features_Bxz
        # The compiler must not merge the parts: outputs of kept features would round differently.
        return self.of_features(jax.lax.optimization_barrier(features_Bxz))

    def of_features(self, features_Bxz: jax.Array) -> jax.Array:
        """Maps features to hash outputs.

        Args:
          features_Bxz: Features, float32 [B, z].

        Returns:
          float32 [B, bits].

        Raises:
          InputError: `method` names nothing that exists.
        """
        method = imports.find_module(self.method, "jhash.methods.shallow", "method")
        return method.encode(self.get_variable("params", "hash"), features_Bxz)
