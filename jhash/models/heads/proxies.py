"""Proxies of the classes: a direction for each, which is learned."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jhash.losses.pairwise import unit_rows


class Proxies(nn.Module):
    """Compares the direction of hash outputs with one direction per class.

    Attributes:
      classes: Number of classes, C.
    """

    classes: int

    @nn.compact
    def __call__(self, outputs: jax.Array, train: bool) -> dict[str, jax.Array]:
        """Adds the cosines with the proxies to hash outputs.

        Args:
          outputs: Hash outputs, float32 [B, bits].
          train: Not used.

        Returns:
          {"hash": the hash outputs, "cosines": float32 [B, C]}. Outputs that are all 0 have the
          cosine 0 with every proxy.
        """
        del train
        # Only their directions matter. They begin with a length of about 1.
        initializer = nn.initializers.variance_scaling(1.0, "fan_out", "normal")
        proxies_CxL = self.param("proxies", initializer, (self.classes, outputs.shape[1]))
        directions = unit_rows(outputs), unit_rows(proxies_CxL).T
        return {"hash": outputs, "cosines": jnp.matmul(*directions, precision="highest")}
