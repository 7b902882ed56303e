"""PCAH: the signs of the first principal components (Wang, Kumar and Chang 2010)."""

import jax

from jhash.unsupervised import principal

OUTPUTS, encode, head = "linear", principal.project, principal.head


def fit(features: jax.Array, bits: int, key: jax.Array) -> dict[str, jax.Array]:
    """A bit for each of the first principal components.

    Args:
      features: float [N, z].
      bits: Code length, at most z and N.
      key: Not used.

    Returns:
      {"mean": [z], "projection": [z, bits]}.

    Raises:
      InputError: More bits than features or samples.
    """
    del key
    mean, projection = principal.components(features, bits)
    return {"mean": mean, "projection": projection}
