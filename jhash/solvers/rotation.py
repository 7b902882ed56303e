"""The rotation that makes real vectors most nearly binary (Gong et al. 2013)."""

import functools

import jax
import jax.numpy as jnp

# As in the paper.
ITERATIONS = 50


@functools.partial(jax.jit, static_argnames="iterations")
@jax.default_matmul_precision("highest")
def rotate(
    projected: jax.Array, key: jax.Array, iterations: int = ITERATIONS
) -> tuple[jax.Array, jax.Array]:
    """The rotation R that makes V R binary: min ||B - V R||_F^2 over codes B and rotations R.

    In turn B = sgn(V R), and R from the singular vectors of V'B, each the best for the other, so
    the loss never rises.

    Args:
      projected: V, float [N, bits], of mean 0.
      key: PRNG key of the first rotation, which is uniform among rotations and reflections.
      iterations: How often both are updated.

    Returns:
      (R [bits, bits], the loss after each iteration's B and R [iterations]).

    References:
      Gong et al. 2013, section 3.2; sgn(0) := -1, as a bit is an output > 0 everywhere in jhash.
    """
    bits = projected.shape[1]
    gaussian = jax.random.normal(key, (bits, bits), projected.dtype)
    start, triangle = jnp.linalg.qr(gaussian)
    # Uniform only with the triangle's diagonal positive.
    start *= jnp.where(jnp.diag(triangle) < 0, -1, 1)

    def update(rotation, _):
        codes = jnp.where(projected @ rotation > 0, 1, -1).astype(projected.dtype)
        left, _, right = jnp.linalg.svd(projected.T @ codes)
        rotation = left @ right
        return rotation, jnp.square(codes - projected @ rotation).sum()

    return jax.lax.scan(update, start, length=iterations)
