"""Divide-and-encode: each bit from a slice of its own of the model's outputs."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jhash.errors import InputError


class DivideAndEncode(nn.Module):
    """Divides the outputs of a model into slices, and encodes each as one bit.

    Attributes:
      bits: Code length, L.
    """

    bits: int

    @nn.compact
    def __call__(self, outputs: jax.Array, train: bool) -> dict[str, jax.Array]:
        """Maps the outputs of a model to hash outputs.

        Args:
          outputs: Outputs of the model, float32 [B, L k]. Bit l has the k outputs from l k on.
          train: Not used.

        Returns:
          {"hash": hash outputs, float32 [B, L]}.

        Raises:
          InputError: The outputs cannot be divided, or each slice would have a single one.

        References:
          DNNH (Lai et al. 2015), Section 3.2.
        """
        del train
        width = outputs.shape[1]
        if width % self.bits or width < 2 * self.bits:
            raise InputError(
                f"outputs: {width} numbers per image given; allowed: 2, 3, ... times {self.bits}, "
                "as each bit has a slice of them. config.model.bits is the number of outputs of a "
                "model."
            )
        slices_BxLxk = outputs.reshape(outputs.shape[0], self.bits, -1)
        initializer = nn.initializers.lecun_normal(in_axis=1, out_axis=0)
        kernel_Lxk = self.param("kernel", initializer, (self.bits, slices_BxLxk.shape[2]))
        bias_L = self.param("bias", nn.initializers.zeros, (self.bits,))
        return {"hash": jnp.einsum("blk,lk->bl", slices_BxLxk, kernel_Lxk) + bias_L}
