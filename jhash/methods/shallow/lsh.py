"""LSH: random hyperplanes through the mean of the samples (Charikar 2002).

sgn(0) is -1. The database has the codes that the fitted function gives.
"""

import functools

import jax

from jhash.solvers import pca

encode = pca.apply_layer


@functools.partial(jax.jit, static_argnames="bits")
def fit(features: jax.Array, labels: None, bits: int, key: jax.Array) -> dict[str, jax.Array]:
    """Draws hyperplanes with Gaussian normals.

    Two vectors then differ in a bit with probability angle / pi, where the angle is that between
    them as seen from the point through which the planes go. Charikar's planes go through the
    origin. Features after a ReLU all lie on the same side of most such planes, so these go through
    the mean of the features instead.

    Args:
      features: float [N, z].
      labels: Unused.
      bits: Code length.
      key: PRNG key.

    Returns:
      {"kernel": [z, bits], "bias": [bits]} of a linear layer whose outputs are the hash outputs.
    """
    del labels
    normals = jax.random.normal(key, (features.shape[1], bits), features.dtype)
    return pca.as_layer(features.mean(0), normals)
