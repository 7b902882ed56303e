"""A pretrained model with hash layers behind it: trained further as a whole, or they alone."""

from typing import Any

import jax
from flax import linen as nn

from jhash.errors import InputError
from jhash.system import imports


class FineTuned(nn.Module):
    """A model that computes features, and a hash layer on them.

    Its parameters are `backbone/...`, `hidden/...` and `hash/...`: `config.optimizer.rates` usually
    gives the backbone a tenth of the hash layer's rate. With the rate 0, the backbone stays as it
    is; see `jhash.encoding.kept_features`. `config.weights` says where its weights come from.

    Attributes:
      bits: Code length.
      axis_name: Not used; published models have BatchNorm folded into their convolutions.
      backbone: `module.Class` of `jhash.pretrained` or of a user's file: a flax module that maps
        images to features, float32 [B, z].
      hidden: Number of ReLU units between the features and the hash layer; 0: there are none.
      dtype: The backbone's field of that name, "float32" or "bfloat16"; parameters and outputs stay
        float32.
    """

    bits: int
    axis_name: str | None = None
    backbone: str = "efficientnet_lite.EfficientNetLite0"
    hidden: int = 0
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps images to hash outputs; bit = output > 0.

        Args:
          x: Images, float32 [B, H, W, C], scaled as the backbone's weights expect them; or the
            backbone's features of them, float32 [B, z].
          train: Whether the pass is one of training.

        Returns:
          float32 [B, bits].

        Raises:
          InputError: `backbone` names nothing that exists, or it has no field `dtype` and another
            type than float32 is wanted.
        """
        backbone = imports.find_attribute(self.backbone, "jhash.pretrained", "backbone")
        fields = {} if self.dtype == "float32" else {"dtype": self.dtype}
        if fields and not hasattr(backbone, "dtype"):
            raise InputError(
                f"dtype: {self.dtype!r} given; allowed: 'float32', as {self.backbone} has no field "
                "dtype."
            )
        if x.ndim > 2:
            x = backbone(**fields, name="backbone")(x)
            if not train:
                # The compiler must not merge the parts: outputs of kept features would round
                # differently.
                x = jax.lax.optimization_barrier(x)
        if self.hidden:
            x = nn.relu(nn.Dense(self.hidden, name="hidden")(x))
        return nn.Dense(self.bits, name="hash")(x)
