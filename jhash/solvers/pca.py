"""Principal components, and the linear layer that projects features to them.

Shapes in names: N samples, z features, C components.
"""

import functools

import jax
import jax.numpy as jnp

from jhash.errors import InputError


@functools.partial(jax.jit, static_argnames="count")
@jax.default_matmul_precision("highest")
def components(features: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Computes the mean of features and their first principal components.

    Args:
      features: float [N, z].
      count: Number of components.

    Returns:
      (mean [z], components [z, count]). The columns are orthonormal and sorted by falling variance.
      A column's entry of largest magnitude is positive, so that the eigensolver's choice of sign
      does not matter.

    Raises:
      InputError: There are fewer features, or fewer samples, than components, or there are none.
        The message calls `count` `bits`, as methods do.
    """
    samples, width = features.shape
    if not samples * width:
        raise InputError(
            f"features: {samples} samples of {width} features given; allowed: 1 or more of both."
        )
    if count > min(samples, width):
        raise InputError(
            f"bits: {count} given; allowed: 1 to {min(samples, width)}, as there are {samples} "
            f"samples of {width} features, and each bit takes a principal component."
        )
    mean_z = features.mean(0)
    centered_Nxz = features - mean_z
    # `eigh` sorts by rising eigenvalue, so the last columns come first.
    vectors_zxC = jnp.linalg.eigh(centered_Nxz.T @ centered_Nxz / samples)[1][:, ::-1][:, :count]
    largest_1xC = jnp.take_along_axis(vectors_zxC, jnp.abs(vectors_zxC).argmax(0)[None], axis=0)
    return mean_z, vectors_zxC * jnp.where(largest_1xC < 0, -1, 1)


@jax.jit
@jax.default_matmul_precision("highest")
def as_layer(mean: jax.Array, projection: jax.Array) -> dict[str, jax.Array]:
    """Writes (features - mean) @ projection as a linear layer.

    Args:
      mean: Mean of the features, float [z].
      projection: Directions of the bits, float [z, bits].

    Returns:
      {"kernel": [z, bits], "bias": [bits]}.
    """
    return {"kernel": projection, "bias": -mean @ projection}


@jax.jit
@jax.default_matmul_precision("highest")
def apply_layer(layer: dict[str, jax.Array], features: jax.Array) -> jax.Array:
    """Computes features @ kernel + bias, float32 [N, bits].

    The precision is full, as when the layer was fitted: a bit near its threshold must not depend on
    the rounding of a device.

    Args:
      layer: Result of `as_layer`.
      features: float [N, z].
    """
    return features @ layer["kernel"] + layer["bias"]
