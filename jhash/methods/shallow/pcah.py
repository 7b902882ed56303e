"""PCAH: the signs of the first principal components (Wang, Kumar and Chang 2010)."""

import jax

from jhash.solvers import pca

encode = pca.apply_layer


def fit(features: jax.Array, labels: None, bits: int, key: jax.Array) -> dict[str, jax.Array]:
    """Fits one bit for each of the first principal components.

    Args:
      features: float [N, z].
      labels: Not used.
      bits: Code length, at most z and N.
      key: Not used.

    Returns:
      {"kernel": [z, bits], "bias": [bits]}.

    Raises:
      InputError: There are more bits than features or samples.
    """
    del labels, key
    return pca.as_layer(*pca.components(features, bits))
