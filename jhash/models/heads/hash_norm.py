"""BatchNorm on hash outputs."""

import jax
from flax import linen as nn

from jhash.models.layers.batch_norm import BatchNorm


class HashNorm(nn.Module):
    """Normalizes every hash output by its mean and variance over the global batch.

    Each bit is thus 1 for about half of the images, up to the offset that the layer learns. An
    offset of the layer before has no effect.

    Attributes:
      axis_name: Mapped axis over which the statistics are averaged; None on one device.
    """

    axis_name: str | None = None

    @nn.compact
    def __call__(self, outputs: jax.Array, train: bool) -> dict[str, jax.Array]:
        """Normalizes hash outputs.

        Args:
          outputs: Hash outputs, float32 [B, bits].
          train: Whether to take the batch's statistics, not the running ones.

        Returns:
          {"hash": the normalized hash outputs, float32 [B, bits]}.
        """
        norm = BatchNorm(axis_name=self.axis_name, momentum=0.9, name="norm")
        return {"hash": norm(outputs, train)}
