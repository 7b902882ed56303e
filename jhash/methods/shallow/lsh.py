"""LSH: random hyperplanes through the mean of the samples (Charikar 2002)."""

import functools

import jax

from jhash.solvers import pca

encode = pca.apply_layer


@functools.partial(jax.jit, static_argnames="bits")
def fit(features: jax.Array, labels: None, bits: int, key: jax.Array) -> dict[str, jax.Array]:
    """Draws Gaussian normals, so that two vectors differ in a bit with probability angle / pi.

    Charikar's planes go through the origin. Features after a ReLU all lie on one side of most of
    such planes; planes through the mean of the features divide them.

    Args:
      features: float [N, z].
      labels: Not used.
      bits: Code length.
      key: PRNG key.

    Returns:
      {"kernel": [z, bits], "bias": [bits]}.
    """
    del labels
    normals = jax.random.normal(key, (features.shape[1], bits), features.dtype)
    return pca.as_layer(features.mean(0), normals)
