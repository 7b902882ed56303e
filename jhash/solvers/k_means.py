"""Groups of samples by k-means (Lloyd's algorithm).

Shapes in names: N samples, z features, K groups.
"""

import functools

import jax
import jax.numpy as jnp


@functools.partial(jax.jit, static_argnames=("groups", "iterations"))
@jax.default_matmul_precision("highest")
def k_means(
    features: jax.Array, groups: int, key: jax.Array, *, iterations: int
) -> tuple[jax.Array, jax.Array]:
    """Moves centers to the means of the samples that are nearest to them, again and again.

    Args:
      features: float [N, z].
      groups: Number of groups K, at most N.
      key: PRNG key of the draw of samples that are the first centers.
      iterations: Number of times that samples are assigned and centers moved.

    Returns:
      (centers float32 [K, z], sizes int32 [K] of the groups of which they are the means). A group
      that no sample is nearest to keeps its center, with the size 0.
    """
    x_Nxz = jnp.asarray(features, jnp.float32)
    # Distances do not change when all is shifted; near 0 the expansion below loses fewer digits.
    mean_z = x_Nxz.mean(0)
    x_Nxz = x_Nxz - mean_z
    first_Kxz = x_Nxz[jax.random.permutation(key, len(x_Nxz))[:groups]]

    def update(centers_Kxz, _):
        # The squared distance, but for |x|^2, which is the same for all centers.
        distance_NxK = jnp.square(centers_Kxz).sum(1) - 2 * x_Nxz @ centers_Kxz.T
        group_N = distance_NxK.argmin(1)
        sizes_K = jnp.bincount(group_N, length=groups)
        sums_Kxz = jax.ops.segment_sum(x_Nxz, group_N, groups)
        means_Kxz = sums_Kxz / jnp.maximum(sizes_K, 1)[:, None]
        return jnp.where(sizes_K[:, None] > 0, means_Kxz, centers_Kxz), sizes_K

    centers_Kxz, sizes = jax.lax.scan(update, first_Kxz, length=iterations)
    return centers_Kxz + mean_z, sizes[-1]
