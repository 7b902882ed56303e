"""ITQ: rotated principal components (Gong et al. 2013), to compare DSTGeH's stage 1 with."""

import jax
import numpy as np

from jhash.solvers import pca, rotation


def embed(v_Nxz: np.ndarray, bits: int, key: jax.Array, folder: str = "") -> np.ndarray:
    """Computes principal components, rotated toward the corners of the cube; there is no graph.

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
    mean, projection = pca.components(v_Nxz, bits)
    projected_Nxbits = (v_Nxz - mean) @ projection
    turned, _ = rotation.rotate(projected_Nxbits, key)
    return np.asarray(projected_Nxbits @ turned)
