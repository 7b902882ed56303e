"""Losses on soft histograms of an image's distances from the similar and dissimilar ones.

Each image of the batch is an *anchor*. The histogram of its distances from the others is soft: a
distance between the centers of two bins is counted in both, in shares that sum to 1, so that the
counts have a gradient.

Shapes in names: B images of the (global) batch, L bits, K bins.
"""

import functools

import chex
import jax
import jax.numpy as jnp


@functools.partial(jax.jit, static_argnames="bins")
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def histogram(u_BxL: jax.Array, similar_BxB: jax.Array, *, bins: int) -> jax.Array:
    r"""Counts the distances of each anchor from the other images, similar and dissimilar apart.

    D_ij = (L - u_i . u_j) / 2 is the Hamming distance of codes. Bin k of K = bins + 1 has the
    center k L / bins, and counts a distance with the weight max(0, 1 - |D - center| bins / L).

    Args:
      u_BxL: Relaxed codes, in [-1, 1].
      similar_BxB: bool, from `pairwise.similar`.
      bins: Number of intervals between centers, 1 or more.

    Returns:
      [B, K, 2] in the dtype of u: counts of similar images at 0 and of dissimilar ones at 1 of the
      last axis. An anchor is in neither; all counts of an anchor sum to B - 1.

    Raises:
      ValueError: `bins` is less than 1.
      AssertionError: Shapes do not fit, or `similar_BxB` is not bool.

    References:
      MIHash (Cakir, He, Bargal and Sclaroff 2017, 2019); fcakir/deep-mihash:mihash/mi_forward.m of
      its authors.
    """
    if bins < 1:
        raise ValueError(f"bins: {bins} given; allowed: 1 or more.")
    chex.assert_rank(u_BxL, 2)
    batch, bits = u_BxL.shape
    chex.assert_shape(similar_BxB, (batch, batch))
    chex.assert_type(similar_BxB, bool)
    # In units of the distance between two centers. Rounding must not carry it beyond the outer
    # ones, where it would not be counted in full.
    place_BxB = jnp.clip((1 - u_BxL @ u_BxL.T / bits) / 2, 0, 1) * bins
    others_BxB = ~jnp.eye(batch, dtype=bool)

    # One bin after another, and again in the backward pass, so that no B x B x K array exists.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def count(center):
        share_BxB = jax.nn.relu(1 - jnp.abs(place_BxB - center))
        near_B = share_BxB.sum(1, where=similar_BxB & others_BxB)
        far_B = share_BxB.sum(1, where=~similar_BxB & others_BxB)
        return jnp.stack([near_B, far_B], axis=1)

    counts_KxBx2 = jax.lax.map(count, jnp.arange(bins + 1, dtype=u_BxL.dtype))
    return jnp.moveaxis(counts_KxBx2, 0, 1)


@jax.jit
def mutual_information(counts_BxKx2: jax.Array) -> jax.Array:
    r"""Computes how much the distance from an anchor tells about being similar to it.

    I(D; S) = H(D) - H(D | S) with natural logarithms, where the distributions of D are the
    histograms over their sums.

    Args:
      counts_BxKx2: From `histogram`.

    Returns:
      [B] in the dtype of the counts, at least 0 up to rounding, at most log 2; to be maximized. It
      is 0 for an anchor to which all images are similar, or none.

    References:
      MIHash (Cakir, He, Bargal and Sclaroff 2017, 2019), where the logarithms are binary.
    """
    chex.assert_rank(counts_BxKx2, 3)
    joint_BxKx2 = counts_BxKx2 / jnp.maximum(counts_BxKx2.sum((1, 2), keepdims=True), 1e-30)
    # I = H(D) + H(S) - H(D, S).
    distance_B = _entropy(joint_BxKx2.sum(2)).sum(1)
    similar_B = _entropy(joint_BxKx2.sum(1)).sum(1)
    return distance_B + similar_B - _entropy(joint_BxKx2).sum((1, 2))


@jax.jit
def average_precision(counts_BxKx2: jax.Array) -> jax.Array:
    r"""Computes the average precision of a ranking by distance in which ties have random order.

    1 / N+ \sum_d c+_d (C+_d + C+_{d-1} + 1) / (C_d + C_{d-1} + 1), with c+ the counts of similar
    images, C+ and C the cumulative counts of similar and of all images, N+ that of all similar.

    Args:
      counts_BxKx2: From `histogram`.

    Returns:
      [B] in the dtype of the counts, to be maximized; 0 for an anchor to which no image is similar.

    References:
      TALR (He, Cakir, Bargal and Sclaroff 2018); kunhe/TALR:apr_s_forward.m of its authors. It
      simplifies the exact expectation over the orders of ties, so that it has a gradient. With
      counts of whole images it differs from the expectation by about 0.002.
    """
    chex.assert_rank(counts_BxKx2, 3)
    near_BxK = counts_BxKx2[..., 0]
    all_BxK = counts_BxKx2.sum(2)
    near_so_far_BxK = jnp.cumsum(near_BxK, 1)
    all_so_far_BxK = jnp.cumsum(all_BxK, 1)
    precision_BxK = (2 * near_so_far_BxK - near_BxK + 1) / (2 * all_so_far_BxK - all_BxK + 1)
    total_B = near_so_far_BxK[:, -1]
    return (near_BxK * precision_BxK).sum(1) / jnp.where(total_B > 0, total_B, 1)


def _entropy(x):
    """Computes -x log x, and 0 at 0, where the gradient is taken to be 0 as well."""
    positive = x > 0
    return -jnp.where(positive, x * jnp.log(jnp.where(positive, x, 1)), 0)
