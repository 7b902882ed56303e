"""Spectral hashing: analytical eigenfunctions on the principal axes (Weiss et al. 2008)."""

import functools

import jax
import jax.numpy as jnp

from jhash.unsupervised import principal

OUTPUTS = "cosine"


def fit(features: jax.Array, bits: int, key: jax.Array) -> dict[str, jax.Array]:
    """The `bits` eigenfunctions of smallest eigenvalue of a box around the principal components.

    On an interval [a, b] they are cos(k pi (x - a) / (b - a)), k = 1, 2, ..., with eigenvalues that
    rise with k / (b - a); a bit is one of these on one axis, so long axes get several.

    Args:
      features: float [N, z].
      bits: Code length.
      key: Not used.

    Returns:
      {"mean": [z], "projection": [z, axes], "low": [axes], "axis": int32 [bits], "frequency":
      [bits] in radians}, axes = min(bits, z, N).

    References:
      Weiss, Torralba and Fergus 2008, section 3. They take the box's sides from the samples'
      extremes, as here, and leave out products of several axes' functions.
    """
    del key
    mean, projection = principal.components(features, min(bits, *features.shape))
    return {
        "mean": mean,
        "projection": projection,
        **_frequencies(features, mean, projection, bits),
    }


@functools.partial(jax.jit, static_argnames="bits")
@jax.default_matmul_precision("highest")
def _frequencies(features, mean, projection, bits):
    projected = (features - mean) @ projection
    low, high = projected.min(0), projected.max(0)
    # No axis can get more than all of the bits. One of length 0 gets none.
    waves = jnp.arange(1, bits + 1)[:, None] * jnp.pi / (high - low)
    first = jnp.argsort(waves.reshape(-1))[:bits]
    axes = projection.shape[1]
    return {"low": low, "axis": first % axes, "frequency": waves.reshape(-1)[first]}


@jax.jit
@jax.default_matmul_precision("highest")
def head(params: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """The phases of `encode` as a layer, {"kernel": [z, bits], "bias": [bits]}."""
    axis, frequency = params["axis"], params["frequency"]
    linear = principal.head(params)
    bias = (linear["bias"] - params["low"])[axis] * frequency
    return {"kernel": linear["kernel"][:, axis] * frequency, "bias": bias}


@jax.jit
@jax.default_matmul_precision("highest")
def encode(params: dict[str, jax.Array], features: jax.Array) -> jax.Array:
    """cos(frequency (x - low)) on each bit's axis, [N, bits] in [-1, 1]."""
    projected = principal.project(params, features) - params["low"]
    return jnp.cos(projected[:, params["axis"]] * params["frequency"])
