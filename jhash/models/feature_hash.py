"""A hash function on the features of a fixed network: what methods without deep learning fit."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jhash import naming
from jhash.errors import InputError

OUTPUTS = ("linear", "cosine")


class FeatureHash(nn.Module):
    """A linear layer on features, or the cosine of one (spectral hashing).

    Attributes:
      bits: Code length.
      axis_name: Not used: nothing here is trained.
      backbone: `module.Class`, from images to features.
      outputs: "linear" or "cosine".
    """

    bits: int
    axis_name: str | None = None
    backbone: str = "efficientnet_lite.EfficientNetLite0"
    outputs: str = "linear"

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Images float32 [B, H, W, C] to float32 [B, bits]; bit = output > 0.

        Raises:
          InputError: `backbone` or `outputs` is unknown.
        """
        del train
        if self.outputs not in OUTPUTS:
            raise InputError(
                f"config.model.outputs: {self.outputs!r} given; allowed are {', '.join(OUTPUTS)}."
            )
        backbone = naming.find_attribute(self.backbone, "jhash.models", "config.model.backbone")
        x = backbone(name="backbone")(x)
        # As they were fitted: a bit near its threshold must not depend on the device's rounding.
        x = nn.Dense(self.bits, precision="highest", name="hash")(x)
        return jnp.cos(x) if self.outputs == "cosine" else x
