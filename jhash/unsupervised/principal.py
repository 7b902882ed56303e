"""Principal components, and outputs that are linear in features: what several methods share."""

import functools

import jax
import jax.numpy as jnp

from jhash.errors import InputError


@functools.partial(jax.jit, static_argnames="count")
@jax.default_matmul_precision("highest")
def components(features: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """The mean of features and their first principal components.

    Args:
      features: float [N, z].
      count: How many components.

    Returns:
      (mean [z], components [z, count]): orthonormal columns by falling variance, each with a
      positive entry of largest magnitude, so that it does not depend on the eigensolver's sign.

    Raises:
      InputError: There are fewer features, or fewer samples, than components.
    """
    samples, width = features.shape
    if count > min(samples, width):
        raise InputError(
            f"config.bits: {count} given; allowed are 1 to {min(samples, width)}, as there are "
            f"{samples} samples of {width} features, and each bit takes a principal component."
        )
    mean = features.mean(0)
    centred = features - mean
    vectors = jnp.linalg.eigh(centred.T @ centred / samples)[1][:, ::-1][:, :count]
    largest = jnp.take_along_axis(vectors, jnp.abs(vectors).argmax(0)[None], axis=0)
    return mean, vectors * jnp.where(largest < 0, -1, 1)


@jax.jit
@jax.default_matmul_precision("highest")
def head(params: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """`project` as a layer, {"kernel": [z, bits], "bias": [bits]}."""
    return {"kernel": params["projection"], "bias": -params["mean"] @ params["projection"]}


@jax.jit
@jax.default_matmul_precision("highest")
def project(params: dict[str, jax.Array], features: jax.Array) -> jax.Array:
    """(features - mean) @ projection, [N, bits]."""
    return (features - params["mean"]) @ params["projection"]
