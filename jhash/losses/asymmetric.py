"""Asymmetric losses: a model's outputs for a batch of queries against the whole database's codes.

The database is given as *groups* of images with equal labels. What the images of a group share
(label, regressed code, learned code) is stored once, together with the number of images. A sum over
n images thus becomes a sum over K groups, as many as classes for single-label data, and no n x m
matrix appears.

Shapes in names: B queries of the batch, K groups, L bits, C classes.
"""

import chex
import jax
import jax.numpy as jnp


@jax.jit
def affinity(labels_BxC: jax.Array, group_labels_KxC: jax.Array) -> jax.Array:
    """Marks with 1 the pairs of a query and a group that share at least one label, others with 0.

    Args:
      labels_BxC: 0/1 labels of the queries.
      group_labels_KxC: 0/1 labels of the groups.

    Returns:
      float32 [B, K].

    References:
      FDAH (Lin et al. 2021), A of eq. 3. The S of eq. 2 is 2 A - 1.
    """
    chex.assert_rank([labels_BxC, group_labels_KxC], 2)
    chex.assert_equal_shape_suffix([labels_BxC, group_labels_KxC], 1)
    shared = labels_BxC.astype(jnp.float32) @ group_labels_KxC.astype(jnp.float32).T
    return (shared > 0).astype(jnp.float32)


@jax.jit
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def inner_product_loss(
    u_BxL: jax.Array, predicted_KxL: jax.Array, affinity_BxK: jax.Array, counts_K: jax.Array
) -> jax.Array:
    r"""Computes the squared error of inner products against the scaled similarity, per query.

    \sum_i (p_i^T u_j - l S_ij)^2, with i over all images: image i of group k has p_i = predicted_k.

    Args:
      u_BxL: Relaxed codes of the queries, tanh of the hash outputs.
      predicted_KxL: Regressed codes W^T y of the groups (FDAH), or their binary codes (ADSH).
      affinity_BxK: 1 where query and group are similar, else 0.
      counts_K: Number of images in each group.

    Returns:
      [B], the sum over all images for each query.

    References:
      FDAH (Lin et al. 2021), eq. 2. The paper prints the factor of S as c, which it defines as the
      number of classes. The objective is that of ADSH (Jiang and Li 2018), where the factor is the
      code length l; so it is here.
    """
    chex.assert_equal_shape_suffix([u_BxL, predicted_KxL], 1)
    chex.assert_shape(affinity_BxK, (u_BxL.shape[0], predicted_KxL.shape[0]))
    bits = u_BxL.shape[1]
    error_BxK = u_BxL @ predicted_KxL.T - bits * (2 * affinity_BxK - 1)
    return jnp.square(error_BxK) @ counts_K.astype(u_BxL.dtype)


@jax.jit
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def code_loss(
    u_BxL: jax.Array,
    gram_LxL: jax.Array,
    code_sums_KxL: jax.Array,
    similarity_BxK: jax.Array,
    counts_K: jax.Array,
) -> jax.Array:
    r"""Computes the squared error of inner products with codes that differ within a group.

    \sum_j (u_i^T v_j - l S_ij)^2 over all images j. As S_ij depends on the group of j alone, it is
    u_i^T (V^T V) u_i - 2 l \sum_k S_ik u_i^T t_k + l^2 \sum_k n_k S_ik^2, where t_k is the sum of
    the codes of group k.

    Args:
      u_BxL: Relaxed codes of the queries, tanh of the hash outputs.
      gram_LxL: V^T V of the codes V [n, L] of all images.
      code_sums_KxL: Sum of the codes of each group's images.
      similarity_BxK: S, any real numbers, such as 1 for similar pairs and -1 for others.
      counts_K: Number of images in each group.

    Returns:
      [B], the sum over all images for each query.

    References:
      ADSH (Jiang and Li 2018), eq. 3; DDSH (Jiang, Cui and Li 2018).
    """
    chex.assert_equal_shape_suffix([u_BxL, code_sums_KxL, gram_LxL], 1)
    chex.assert_shape(similarity_BxK, (u_BxL.shape[0], code_sums_KxL.shape[0]))
    bits = u_BxL.shape[1]
    quadratic_B = ((u_BxL @ gram_LxL) * u_BxL).sum(1)
    linear_B = (similarity_BxK * (u_BxL @ code_sums_KxL.T)).sum(1)
    constant_B = jnp.square(similarity_BxK) @ counts_K.astype(u_BxL.dtype)
    return quadratic_B - 2 * bits * linear_B + bits**2 * constant_B


@jax.jit
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def reconstruction_loss(
    u_BxL: jax.Array, codes_KxL: jax.Array, affinity_BxK: jax.Array, counts_K: jax.Array
) -> jax.Array:
    r"""Computes the mean squared distance from each query to the codes of its similar images.

    \sum_i A_ij / tau_j ||b_i - u_j||^2, tau_j = the number of images similar to query j.

    Args:
      u_BxL: Relaxed codes of the queries, tanh of the hash outputs.
      codes_KxL: Binary codes of the groups, in {-1, +1}.
      affinity_BxK: 1 where query and group are similar, else 0.
      counts_K: Number of images in each group.

    Returns:
      [B]. A query to which no image is similar (tau = 0) has the loss 0. In the paper there is no
      such query, as queries are training samples and similar to themselves.

    References:
      FDAH (Lin et al. 2021), eq. 3, first term.
    """
    chex.assert_shape(affinity_BxK, (u_BxL.shape[0], codes_KxL.shape[0]))
    weights_BxK = affinity_BxK * counts_K.astype(u_BxL.dtype)
    weights_BxK /= jnp.maximum(weights_BxK.sum(1, keepdims=True), 1)
    # ||b - u||^2 = ||b||^2 + ||u||^2 - 2 b.u, averaged over the similar images.
    mean_code_BxL = weights_BxK @ codes_KxL
    mean_norm_B = weights_BxK @ jnp.square(codes_KxL).sum(1)
    squared_B = weights_BxK.sum(1) * jnp.square(u_BxL).sum(1)
    return mean_norm_B + squared_B - 2 * (mean_code_BxL * u_BxL).sum(1)
