"""PCA-ITQ: principal components, rotated toward the corners of the cube (Gong et al. 2013).

sgn(0) is -1. The database has the codes that the fitted function gives.
"""

import jax

from jhash.solvers import pca, rotation

encode = pca.apply_layer


@jax.default_matmul_precision("highest")
def fit(features: jax.Array, labels: None, bits: int, key: jax.Array) -> dict[str, jax.Array]:
    """Fits principal components, and a rotation that brings them close to binary values.

    Args:
      features: float [N, z].
      labels: Unused.
      bits: Code length, at most min(N, z).
      key: PRNG key for the random rotation from which `solvers.rotation.rotate` starts.

    Returns:
      {"kernel": [z, bits], "bias": [bits]} of a linear layer whose outputs are the hash outputs.

    Raises:
      InputError: There are more bits than features or samples.
    """
    del labels
    mean, projection = pca.components(features, bits)
    turned, _ = rotation.rotate((features - mean) @ projection, key)
    return pca.as_layer(mean, projection @ turned)
