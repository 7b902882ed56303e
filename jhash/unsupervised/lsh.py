"""LSH: random hyperplanes through the mean of the samples (Charikar 2002)."""

import functools

import jax

from jhash.unsupervised import principal

OUTPUTS, encode, head = "linear", principal.project, principal.head


@functools.partial(jax.jit, static_argnames="bits")
def fit(features: jax.Array, bits: int, key: jax.Array) -> dict[str, jax.Array]:
    """Gaussian normals, so that two vectors differ in a bit with probability angle / pi.

    Charikar's planes go through the origin. Features after a ReLU all lie on one side of most of
    such planes; through their mean, a plane parts them.

    Args:
      features: float [N, z].
      bits: Code length.
      key: PRNG key.

    Returns:
      {"mean": [z], "projection": [z, bits]}.
    """
    return {
        "mean": features.mean(0),
        "projection": jax.random.normal(key, (features.shape[1], bits), features.dtype),
    }
