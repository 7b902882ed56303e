"""SAE: DSTGeH's stage 1, a stacked autoencoder on the rows of a graph (Liu et al. 2020)."""

import jax
import numpy as np

from jhash.methods import graph_autoencoder

DEFAULTS = graph_autoencoder.Options()

OPTIONS = DEFAULTS._fields


def check(nodes: int, bits: int, **options) -> None:
    """Refuses the value of an option; see `graph_autoencoder.check`."""
    graph_autoencoder.check(DEFAULTS._replace(**options), nodes, bits)


def embed(v_Nxz: np.ndarray, bits: int, key: jax.Array, folder: str, **options) -> np.ndarray:
    """Trains the stack layer by layer, then as a whole.

    Args:
      v_Nxz: Features, float.
      bits: Code length.
      key: PRNG key for weights and batches.
      folder: Folder of the checkpoints and the log, from which a call that was killed continues.
      **options: Fields of `graph_autoencoder.Options` that differ from `DEFAULTS`.

    Returns:
      float32 [N, bits] in (-1, 1); bit = value > 0 (eq. 8 has >= 0).

    Raises:
      InputError: The value of an option is not allowed; the message names it.
      ValueError: There is no such option.
      NonFiniteError: A loss became NaN or infinite.
    """
    return graph_autoencoder.train(v_Nxz, bits, key, folder, DEFAULTS._replace(**options))
