"""PCAH: the signs of the first principal components (Wang, Kumar and Chang 2010).

sgn(0) is -1. The database has the codes that the fitted function gives.
"""

import jax

from jhash.solvers import pca

encode = pca.apply_layer


def fit(features: jax.Array, labels: None, bits: int, key: jax.Array) -> dict[str, jax.Array]:
    """Fits one bit to each of the first principal components.

    Args:
      features: float [N, z].
      labels: Unused.
      bits: Code length, at most min(N, z).
      key: Unused.

    Returns:
      {"kernel": [z, bits], "bias": [bits]} of a linear layer whose outputs are the hash outputs.

    Raises:
      InputError: There are more bits than features or samples.
    """
    del labels, key
    return pca.as_layer(*pca.components(features, bits))
