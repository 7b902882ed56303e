"""A pretrained model with a hash layer behind it, trained further as a whole."""

import jax
from flax import linen as nn

from jhash.system import imports


class FineTuned(nn.Module):
    """A model whose features are trained further, and a linear hash layer on them.

    Its parameters are `backbone/...` and `hash/...`: `config.optimizer.rates` usually gives the
    backbone a tenth of the hash layer's rate. `config.weights` says where its weights come from.

    Attributes:
      bits: Code length.
      axis_name: Not used; published models have BatchNorm folded into their convolutions.
      backbone: `module.Class` of `jhash.pretrained` or of a user's file: a flax module that maps
        images to features, float32 [B, z].
    """

    bits: int
    axis_name: str | None = None
    backbone: str = "efficientnet_lite.EfficientNetLite0"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps images to hash outputs; bit = output > 0.

        Args:
          x: Images, float32 [B, H, W, C], scaled as the backbone's weights expect them.
          train: Not used.

        Returns:
          float32 [B, bits].

        Raises:
          InputError: `backbone` names nothing that exists.
        """
        del train
        backbone = imports.find_attribute(self.backbone, "jhash.pretrained", "backbone")
        return nn.Dense(self.bits, name="hash")(backbone(name="backbone")(x))
