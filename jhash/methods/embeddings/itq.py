"""ITQ: rotated principal components (Gong et al. 2013), to compare DSTGeH's stage 1 with."""

import jax
import numpy as np

from jhash.methods.shallow import itq


def embed(v_Nxz: np.ndarray, bits: int, key: jax.Array, folder: str = "") -> np.ndarray:
    """Computes the outputs of ITQ's hash function for the features that it is fitted to.

    There is no graph.

    Args:
      v_Nxz: Features, float.
      bits: Code length, at most min(N, z).
      key: PRNG key for the random rotation from which `solvers.rotation.rotate` starts.
      folder: Unused: a call that was killed starts anew.

    Returns:
      float32 [N, bits], bit = value > 0.

    Raises:
      InputError: There are more bits than features or samples.
    """
    del folder
    return np.asarray(itq.encode(itq.fit(v_Nxz, None, bits, key), v_Nxz))
