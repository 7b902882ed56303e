"""Gaussian kernels at anchors, on which SDH, FSDH and KSH put a linear layer.

phi_j(x) = exp(-||x - a_j||^2 / (2 w^2)) for anchors a_j drawn from the samples.

Shapes in names: N samples, z features, M anchors, L bits.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError
from jhash.solvers import draws, moments


def draw(
    features: jax.Array | np.ndarray, anchors: int, width: float, key: jax.Array
) -> dict[str, jax.Array]:
    """Draws anchors from samples, and sets the width of the kernel by the data.

    Args:
      features: float [N, z].
      anchors: Number of anchors; with fewer samples each of them is one.
      width: w as a multiple of the root mean square of the distances between samples and anchors.
      key: PRNG key of the draw, which is without repetition.

    Returns:
      {"anchors": float32 [M, z], "scale": float32 []} with scale = 1 / (2 w^2). If all samples are
      alike, the scale is 1.

    Raises:
      InputError: There are no samples, or squares of distances are NaN or infinite.
    """
    if not np.size(features):
        raise InputError(f"features: shape {np.shape(features)} given; allowed: 1 sample or more.")
    features = np.asarray(features, np.float32)
    anchors_Mxz = features[draws.places(key, anchors, len(features))]
    # The mean of all squared distances, from the means and the variances of both sides.
    between = moments.mean(features) - moments.mean(anchors_Mxz)
    variances = [np.square(moments.deviation(side)).sum() for side in (features, anchors_Mxz)]
    square = np.square(between).sum() + sum(variances)
    if not square < np.finfo(np.float32).max:
        raise InputError(
            f"features: up to {np.abs(features).max():.3g} given; allowed: smaller features, whose "
            "squares are finite in float32."
        )
    scale = 1 / (2 * square * width**2) if square > 0 else 1.0
    return {"anchors": jnp.asarray(anchors_Mxz), "scale": jnp.float32(scale)}


@jax.jit
@jax.default_matmul_precision("highest")
def apply(kernel: dict[str, jax.Array], features: jax.Array) -> jax.Array:
    """Computes phi, float32 [N, M] in [0, 1].

    Args:
      kernel: Result of `draw`.
      features: float [N, z].
    """
    # Distances do not change when all is shifted; near 0 the expansion below loses fewer digits.
    center_z = kernel["anchors"].mean(0)
    x_Nxz, a_Mxz = features - center_z, kernel["anchors"] - center_z
    squares_NxM = jnp.square(x_Nxz).sum(1, keepdims=True) + jnp.square(a_Mxz).sum(1)
    distances_NxM = jnp.maximum(squares_NxM - 2 * x_Nxz @ a_Mxz.T, 0)
    return jnp.exp(-kernel["scale"] * distances_NxM)


def as_layer(
    kernel: dict[str, jax.Array], weights_MxL: np.ndarray, bias_L: np.ndarray
) -> dict[str, jax.Array]:
    """Puts a linear layer on the kernel: the parameters of `apply_layer`."""
    layer = {"kernel": jnp.float32(weights_MxL), "bias": jnp.float32(bias_L)}
    return kernel | layer


@jax.jit
@jax.default_matmul_precision("highest")
def apply_layer(layer: dict[str, jax.Array], features: jax.Array) -> jax.Array:
    """Computes phi(features) @ kernel + bias, float32 [N, L].

    Args:
      layer: Result of `as_layer`.
      features: float [N, z].
    """
    return apply(layer, features) @ layer["kernel"] + layer["bias"]
