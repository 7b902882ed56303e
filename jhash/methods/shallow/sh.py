"""Spectral hashing: analytical eigenfunctions on the principal axes (Weiss et al. 2008)."""

import functools

import jax
import jax.numpy as jnp

from jhash.solvers import pca


def fit(features: jax.Array, labels: None, bits: int, key: jax.Array) -> dict[str, jax.Array]:
    """Fits the eigenfunctions of smallest eigenvalue of a box around the principal components.

    On an interval [a, b] they are cos(k pi (x - a) / (b - a)), k = 1, 2, ..., with eigenvalues that
    rise with k / (b - a). A bit is one of them on one axis, so long axes get several bits.

    Args:
      features: float [N, z].
      labels: Not used.
      bits: Code length.
      key: Not used.

    Returns:
      {"kernel": [z, bits], "bias": [bits]}, the phases of the cosines in radians.

    References:
      Weiss, Torralba and Fergus 2008, section 3. They take the box's sides from the samples'
      extremes, as here, and leave out products of several axes' functions.
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
    # No axis can get more than all of the bits. One of length 0 gets none.
    waves = jnp.arange(1, bits + 1)[:, None] * jnp.pi / (high - low)
    chosen = jnp.argsort(waves.reshape(-1))[:bits]
    axis, frequency = chosen % projection.shape[1], waves.reshape(-1)[chosen]
    linear = pca.as_layer(mean, projection)
    return {
        "kernel": linear["kernel"][:, axis] * frequency,
        "bias": (linear["bias"] - low)[axis] * frequency,
    }
