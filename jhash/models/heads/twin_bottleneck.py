"""A binary and a continuous bottleneck, a decoder behind both, and a critic of each."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jhash.errors import InputError
from jhash.models.heads import straight_through

# The power of the share of bits that two codes have in common.
_POWER = 1.4
_SMALLEST = 1e-8


class TwinBottleneck(nn.Module):
    """Reconstructs features of a batch from codes and continuous latent values.

    The values of images with similar codes are mixed: the codes of the batch make a graph, on which
    there is one convolution. So `reconstruct` has to see the global batch.

    Attributes:
      bits: Code length, L.
      hidden: Width of the decoder's hidden layer.
      width: Number of features, z.
    """

    bits: int
    hidden: int
    width: int

    @nn.compact
    def __call__(self, outputs: jax.Array, train: bool) -> dict[str, jax.Array]:
        """Splits the outputs of a model.

        Args:
          outputs: Outputs of the model, float32 [B, L + D].
          train: Not used.

        Returns:
          {"hash": hash outputs, float32 [B, L], "latent": values in (0, 1), float32 [B, D]}.

        Raises:
          InputError: There are no outputs beside the hash outputs.
        """
        del train
        if outputs.shape[1] <= self.bits:
            raise InputError(
                f"outputs: {outputs.shape[1]} numbers per image given; allowed: {self.bits + 1} "
                f"and more, of which {self.bits} are bits. config.model.bits is the number of "
                "outputs of a model."
            )
        hash_BxL, latent_BxD = outputs[:, : self.bits], nn.sigmoid(outputs[:, self.bits :])
        if self.is_initializing():
            mixed_BxD = self.mix(straight_through.bernoulli(hash_BxL), latent_BxD)
            self.reconstruct(mixed_BxD)
            self.judge(straight_through.bernoulli(hash_BxL), "code")
            self.judge(mixed_BxD, "latent")
        return {"hash": hash_BxL, "latent": latent_BxD}

    @nn.compact
    @jax.default_matmul_precision("highest")
    def mix(self, bits_BxL: jax.Array, latent_BxD: jax.Array) -> jax.Array:
        """Convolves the latent values on the graph of the codes, [B, D] in (0, 1).

        Args:
          bits_BxL: Bits in {0, 1}, with a gradient.
          latent_BxD: Latent values.
        """
        values_BxD = nn.Dense(latent_BxD.shape[1], name="mixed")(latent_BxD)
        signs_BxL = 2 * bits_BxL - 1
        common_BxB = (1 + signs_BxL @ signs_BxL.T / self.bits) / 2
        # Away from 0, where the gradient of the power is that of 0 to a negative power.
        adjacency_BxB = jnp.where(
            common_BxB > _SMALLEST, jnp.maximum(common_BxB, _SMALLEST) ** _POWER, 0
        )
        roots_B = jax.lax.rsqrt(adjacency_BxB.sum(1) + _SMALLEST)
        return nn.sigmoid(roots_B[:, None] * (adjacency_BxB @ (roots_B[:, None] * values_BxD)))

    @nn.compact
    def reconstruct(self, mixed_BxD: jax.Array) -> jax.Array:
        """Decodes features, [B, z]."""
        hidden_BxH = nn.relu(nn.Dense(self.hidden, name="decoder_hidden")(mixed_BxD))
        return nn.Dense(self.width, name="decoder")(hidden_BxH)

    @nn.compact
    def judge(self, values: jax.Array, of: str) -> jax.Array:
        """Returns the logits with which values are taken for draws of the prior, [B].

        Args:
          values: Bits, or mixed latent values.
          of: "code" or "latent".
        """
        return nn.Dense(1, name=f"critic_{of}")(values)[:, 0]
