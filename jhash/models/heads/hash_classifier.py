"""A linear classifier on hash outputs."""

import jax
from flax import linen as nn


class HashClassifier(nn.Module):
    """Predicts classes from relaxed codes, tanh of the hash outputs.

    Attributes:
      classes: Number of classes, C.
    """

    classes: int

    @nn.compact
    def __call__(self, outputs: jax.Array, train: bool) -> dict[str, jax.Array]:
        """Adds logits of the classes to hash outputs.

        Args:
          outputs: Hash outputs, float32 [B, bits].
          train: Not used.

        Returns:
          {"hash": the hash outputs, "classes": logits, float32 [B, C]}.
        """
        del train
        logits_BxC = nn.Dense(self.classes, name="classes")(nn.tanh(outputs))
        return {"hash": outputs, "classes": logits_BxC}
