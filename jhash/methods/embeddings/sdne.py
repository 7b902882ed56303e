"""SDNE: structural deep network embedding (Wang, Cui and Zhu 2016), as DSTGeH compares."""

import jax
import numpy as np

from jhash.methods import graph_autoencoder

# A plain autoencoder from random weights, trained at once.
DEFAULTS = graph_autoencoder.Options(
    start="random", mu=1.0, pretrain_epochs=0, epochs=26, learning_rate=0.1
)


def embed(v_Nxz: np.ndarray, bits: int, key: jax.Array, folder: str, **options) -> np.ndarray:
    """Trains all layers together, without layers' pre-training.

    Args:
      v_Nxz: Features, float.
      bits: Code length.
      key: PRNG key.
      folder: For checkpoints and the log; a call that was killed is continued.
      **options: Fields of `graph_autoencoder.Options` that replace `DEFAULTS`.

    Returns:
      float32 [N, bits] in (-1, 1); bit = value >= 0.

    Raises:
      InputError: An option is out of range.
      NonFiniteError: A loss became NaN or infinite.

    References:
      Wang, Cui and Zhu 2016, whose second-order loss weights edges; DSTGeH compares with the
      objective of its own eq. 7.
    """
    return graph_autoencoder.train(v_Nxz, bits, key, folder, DEFAULTS._replace(**options))
