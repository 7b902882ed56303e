"""SH: spectral hashing, by analytical eigenfunctions on principal axes (Weiss et al. 2008).

sgn(0) is -1. The database has the codes that the fitted function gives.
"""

import functools

import jax
import jax.numpy as jnp

from jhash.solvers import pca


def fit(features: jax.Array, labels: None, bits: int, key: jax.Array) -> dict[str, jax.Array]:
    """Fits a box to the principal components and chooses its smoothest eigenfunctions.

    The eigenfunctions of an interval [a, b] are cos(k pi (x - a) / (b - a)) for k = 1, 2, ... Their
    eigenvalues rise with k / (b - a). Each bit is the sign of one eigenfunction of one axis. The
    functions with the smallest eigenvalues are chosen, so a long axis gets several bits.

    Args:
      features: float [N, z].
      labels: Unused.
      bits: Code length.
      key: Unused.

    Returns:
      {"kernel": [z, bits], "bias": [bits]} of a linear layer whose outputs are the phases of the
      cosines, in radians.

    References:
      Weiss, Torralba and Fergus 2008, section 3. As there, the sides of the box are the min and the
      max of the samples, and products of the functions of several axes are left out.
    """
    del labels, key
    mean, projection = pca.components(features, min(bits, *features.shape))
    return _phases(features, mean, projection, bits)


@jax.jit
def encode(params: dict[str, jax.Array], features: jax.Array) -> jax.Array:
    """Computes the cosines of the phases, float32 [N, bits] in [-1, 1]."""
    return jnp.cos(pca.apply_layer(params, features))


@functools.partial(jax.jit, static_argnames="bits")
@jax.default_matmul_precision("highest")
def _phases(features, mean, projection, bits):
    projected = (features - mean) @ projection
    low, high = projected.min(0), projected.max(0)
    # Frequencies of eigenfunctions, [bits, axes], in radians per unit. One axis may get all of the
    # bits, so each has as many candidates. On an axis of length 0 they are infinite: it gets none,
    # unless there is no other axis. Then all features are alike, and so are their bits.
    waves = jnp.arange(1, bits + 1)[:, None] * jnp.pi / (high - low)
    chosen = jnp.argsort(waves.reshape(-1))[:bits]
    axis, frequency = chosen % projection.shape[1], waves.reshape(-1)[chosen]
    frequency = jnp.where(jnp.isinf(frequency), 0, frequency)
    linear = pca.as_layer(mean, projection)
    return {
        "kernel": linear["kernel"][:, axis] * frequency,
        "bias": (linear["bias"] - low)[axis] * frequency,
    }
