"""PCA-ITQ: principal components, rotated towards the corners of the cube (Gong et al. 2013)."""

import jax

from jhash.solvers import pca, rotation

encode = pca.apply_layer


def fit(features: jax.Array, labels: None, bits: int, key: jax.Array) -> dict[str, jax.Array]:
    """Fits principal components and the rotation that makes them most nearly binary.

    Args:
      features: float [N, z].
      labels: Not used.
      bits: Code length, at most z and N.
      key: PRNG key of the rotation from which `solvers.rotation.rotate` starts.

    Returns:
      {"kernel": [z, bits], "bias": [bits]}.

    Raises:
      InputError: There are more bits than features or samples.
    """
    del labels
    mean, projection = pca.components(features, bits)
    turned, _ = rotation.rotate((features - mean) @ projection, key)
    return pca.as_layer(mean, projection @ turned)
