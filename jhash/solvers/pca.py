"""Principal components, and hash functions that are linear in features."""

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
      (mean [z], components [z, count]): orthonormal columns by falling variance, each with a
      positive entry of largest magnitude, so that it does not depend on the eigensolver's sign.

    Raises:
      InputError: There are fewer features, or fewer samples, than components.
    """
    samples, width = features.shape
    if count > min(samples, width):
        raise InputError(
            f"bits: {count} given; allowed: 1 to {min(samples, width)}, as there are {samples} "
            f"samples of {width} features, and each bit takes a principal component."
        )
    mean = features.mean(0)
    centered = features - mean
    vectors = jnp.linalg.eigh(centered.T @ centered / samples)[1][:, ::-1][:, :count]
    largest = jnp.take_along_axis(vectors, jnp.abs(vectors).argmax(0)[None], axis=0)
    return mean, vectors * jnp.where(largest < 0, -1, 1)


@jax.jit
@jax.default_matmul_precision("highest")
def as_layer(mean: jax.Array, projection: jax.Array) -> dict[str, jax.Array]:
    """Writes (features - mean) @ projection as a linear layer.

    Args:
      mean: float [z].
      projection: float [z, bits].

    Returns:
      {"kernel": [z, bits], "bias": [bits]}.
    """
    return {"kernel": projection, "bias": -mean @ projection}


@jax.jit
@jax.default_matmul_precision("highest")
def apply_layer(layer: dict[str, jax.Array], features: jax.Array) -> jax.Array:
    """Computes features @ kernel + bias, float32 [N, bits].

    In full precision, as the layer was fitted: a bit near its threshold must not depend on the
    rounding of a device.
    """
    return features @ layer["kernel"] + layer["bias"]
