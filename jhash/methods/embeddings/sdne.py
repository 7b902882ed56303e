"""SDNE: structural deep network embedding (Wang, Cui and Zhu 2016), a baseline of DSTGeH."""

import jax
import numpy as np

from jhash.methods import graph_autoencoder

# A plain autoencoder: random weights at the start, and all layers trained at once.
DEFAULTS = graph_autoencoder.Options(
    start="random", mu=1.0, pretrain_epochs=0, epochs=26, learning_rate=0.1
)

OPTIONS = DEFAULTS._fields


def check(nodes: int, bits: int, **options) -> None:
    """Refuses the value of an option; see `graph_autoencoder.check`."""
    graph_autoencoder.check(DEFAULTS._replace(**options), nodes, bits)


def embed(v_Nxz: np.ndarray, bits: int, key: jax.Array, folder: str, **options) -> np.ndarray:
    """Trains all layers together, without training them one by one before.

    Args:
      v_Nxz: Features, float.
      bits: Code length.
      key: PRNG key for weights and batches.
      folder: Folder of the checkpoints and the log, from which a call that was killed continues.
      **options: Fields of `graph_autoencoder.Options` that differ from `DEFAULTS`.

    Returns:
      float32 [N, bits] in (-1, 1); bit = value > 0.

    Raises:
      InputError: The value of an option is not allowed; the message names it.
      ValueError: There is no such option.
      NonFiniteError: A loss became NaN or infinite.

    References:
      Wang, Cui and Zhu 2016. Their second-order loss gives edges a larger weight; the loss here is
      eq. 7 of DSTGeH, as in DSTGeH's comparison.
    """
    return graph_autoencoder.train(v_Nxz, bits, key, folder, DEFAULTS._replace(**options))
