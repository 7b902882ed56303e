"""Outputs of a model for classes, beside those for bits."""

import jax
from flax import linen as nn

from jhash.errors import InputError


class ClassOutputs(nn.Module):
    """Takes the first outputs of a model for bits, and the others for the classes.

    Attributes:
      bits: Code length, L.
      classes: Number of classes, C.
    """

    bits: int
    classes: int

    def __call__(self, outputs: jax.Array, train: bool) -> dict[str, jax.Array]:
        """Divides the outputs of a model.

        Args:
          outputs: Outputs of the model, float32 [B, L + C].
          train: Not used.

        Returns:
          {"hash": hash outputs, float32 [B, L], "classes": logits, float32 [B, C]}.

        Raises:
          InputError: The model has another number of outputs.

        References:
          CNNH+ (Xia et al. 2014), whose last layer has them side by side.
        """
        del train
        width = self.bits + self.classes
        if outputs.shape[1] != width:
            raise InputError(
                f"outputs: {outputs.shape[1]} numbers per image given; allowed: {width}, for "
                f"{self.bits} bits and {self.classes} classes. config.model.bits is the number of "
                "outputs of a model."
            )
        return {"hash": outputs[:, : self.bits], "classes": outputs[:, self.bits :]}
