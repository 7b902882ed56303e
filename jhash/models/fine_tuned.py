"""A pretrained model with a hash layer behind it, trained further as a whole."""

from typing import Any

import jax
from flax import linen as nn

from jhash.errors import InputError
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
      dtype: The backbone's field of that name, "float32" or "bfloat16"; parameters and outputs stay
        float32.
    """

    bits: int
    axis_name: str | None = None
    backbone: str = "efficientnet_lite.EfficientNetLite0"
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps images to hash outputs; bit = output > 0.

        Args:
          x: Images, float32 [B, H, W, C], scaled as the backbone's weights expect them.
          train: Not used.

        Returns:
          float32 [B, bits].

        Raises:
          InputError: `backbone` names nothing that exists, or it has no field `dtype` and another
            type than float32 is wanted.
        """
        del train
        backbone = imports.find_attribute(self.backbone, "jhash.pretrained", "backbone")
        fields = {} if self.dtype == "float32" else {"dtype": self.dtype}
        if fields and not hasattr(backbone, "dtype"):
            raise InputError(
                f"dtype: {self.dtype!r} given; allowed: 'float32', as {self.backbone} has no field "
                "dtype."
            )
        return nn.Dense(self.bits, name="hash")(backbone(**fields, name="backbone")(x))
