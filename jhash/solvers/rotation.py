"""The rotation that brings real vectors close to binary codes (Gong et al. 2013)."""

import functools

import jax
import jax.numpy as jnp

# Number of iterations in the paper.
ITERATIONS = 50


@functools.partial(jax.jit, static_argnames="iterations")
@jax.default_matmul_precision("highest")
def rotate(
    projected: jax.Array, key: jax.Array, iterations: int = ITERATIONS
) -> tuple[jax.Array, jax.Array]:
    """Looks for the rotation R that minimizes ||B - V R||_F^2 over codes B and rotations R.

    It updates B = sgn(V R) and R, from the singular vectors of V'B, in turn. Each is the best for
    the other, so the loss never rises; it ends near a local minimum.

    Args:
      projected: Vectors V, float [N, bits], of mean 0.
      key: PRNG key of the initial R, which is uniform among rotations and reflections.
      iterations: Number of updates of both B and R.

    Returns:
      (R [bits, bits], loss [iterations] after the updates of each iteration).

    References:
      Gong et al. 2013, section 3.2. sgn(0) is -1, as bit = output > 0 everywhere in jhash.
    """
    bits = projected.shape[1]
    gaussian = jax.random.normal(key, (bits, bits), projected.dtype)
    start, triangle = jnp.linalg.qr(gaussian)
    # The distribution is uniform only if the diagonal of the triangle is positive.
    start *= jnp.where(jnp.diag(triangle) < 0, -1, 1)

    def update(rotation, _):
        codes = jnp.where(projected @ rotation > 0, 1, -1).astype(projected.dtype)
        left, _, right = jnp.linalg.svd(projected.T @ codes)
        rotation = left @ right
        return rotation, jnp.square(codes - projected @ rotation).sum()

    return jax.lax.scan(update, start, length=iterations)
