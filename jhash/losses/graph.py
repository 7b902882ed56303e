"""Losses of graph embeddings, without the graph's adjacency matrix.

The matrix of weights u is given by two factors: u_ij = left_i . right_j.

Shapes in names: N nodes, r columns of the factors, L bits, B nodes of a batch.
"""

import functools
from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp


@jax.jit
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def first_order_loss(h_NxL: jax.Array, left_Nxr: jax.Array, right_Nxr: jax.Array) -> jax.Array:
    r"""Computes \sum_{i,j} u_ij ||h_i - h_j||^2 over all ordered pairs, u_ij = left_i . right_j.

    The sum equals 2 (\sum_i d_i ||h_i||^2 - <left'H, right'H>) with the degrees d = left (right'1).
    In this form it takes O(N r L) operations and no N x N matrix.

    Args:
      h_NxL: Real codes.
      left_Nxr: First factor of the weights, whose matrix must be symmetric. For cosines, both
        factors are the features scaled to length 1.
      right_Nxr: Second factor of the weights.

    Returns:
      Scalar in the dtype of h. It is not negative if no u_ij is.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      DSTGeH (Liu et al. 2020), eq. 5 with the u_ij of eq. 1.
    """
    chex.assert_rank([h_NxL, left_Nxr], 2)
    chex.assert_equal_shape([left_Nxr, right_Nxr])
    chex.assert_equal_shape_prefix([h_NxL, left_Nxr], 1)
    # The loss does not change when all codes move together, but its two terms do. With codes around
    # 0 the terms are smaller, and fewer digits cancel in their difference.
    h_NxL = h_NxL - h_NxL.mean(0)
    degrees_N = left_Nxr @ right_Nxr.sum(0)
    own = (degrees_N * jnp.square(h_NxL).sum(1)).sum()
    return 2 * (own - jnp.vdot(left_Nxr.T @ h_NxL, right_Nxr.T @ h_NxL))


@jax.jit
def first_order_share(h_BxL: jax.Array, degrees_B: jax.Array, pull_BxL: jax.Array) -> jax.Array:
    r"""Computes terms of a batch of nodes that have the gradient of `first_order_loss`.

    2 d_i ||h_i||^2 - 4 h_i . p_i for node i, where p_i = \sum_j u_ij h_j counts as constant. The
    gradient of their sum in h_i is that of the whole graph's loss. Their value is not the loss.

    Args:
      h_BxL: Real codes of the nodes of the batch.
      degrees_B: Degrees d_i of these nodes in the whole graph.
      pull_BxL: Weighted sums p_i over all nodes j of the graph.

    Returns:
      [B] in the dtype of h.

    Raises:
      AssertionError: Shapes do not fit.
    """
    chex.assert_equal_shape([h_BxL, pull_BxL])
    chex.assert_shape(degrees_B, h_BxL.shape[:1])
    own = 2 * degrees_B * jnp.square(h_BxL).sum(1)
    return own - 4 * (h_BxL * jax.lax.stop_gradient(pull_BxL)).sum(1)


@jax.jit
def normalized_first_order_loss(
    h_NxL: jax.Array, joined_N: jax.Array, pull_NxL: jax.Array
) -> jax.Array:
    r"""Computes \sum_{i,j} a_ij ||h_i / sqrt(d_i) - h_j / sqrt(d_j)||^2 over ordered pairs.

    It is 2 (\sum_i ||h_i||^2 - <H, S H>) over nodes with an edge, S = D^-1/2 A D^-1/2: twice the
    quadratic form of the symmetric normalized Laplacian I - S.

    Args:
      h_NxL: Real codes of all nodes.
      joined_N: 1 for nodes that have an edge, 0 for the others.
      pull_NxL: S H.

    Returns:
      Scalar in the dtype of h, 0 or more but for rounding.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      Eq. 5 of DSTGeH (Liu et al. 2020) with the Laplacian of Shi and Malik 2000 in place of D - A,
      which is not the paper's.
    """
    chex.assert_equal_shape([h_NxL, pull_NxL])
    chex.assert_shape(joined_N, h_NxL.shape[:1])
    own = (joined_N * jnp.square(h_NxL).sum(1)).sum()
    return 2 * (own - jnp.vdot(h_NxL, pull_NxL))


@functools.partial(jax.jit, static_argnames="mu")
def second_order_loss(
    inputs: Sequence[jax.Array], outputs: Sequence[jax.Array], *, mu: float
) -> jax.Array:
    r"""Computes L_so, the error of an autoencoder that reconstructs rows of the adjacency matrix.

    mu ||u - u^||^2 + (1 - mu) \sum_t k_t ||f^(2t) - f^^(2t)||^2 per row, where the hat marks a
    reconstruction, k_t / k_{t+1} = 2 and \sum_t k_t = 1.

    Args:
      inputs: Rows u [B, N], then the outputs f^(1), f^(2), ... of the encoder's hidden layers,
        [B, width] each.
      outputs: Reconstructions of `inputs` by the decoder, in the same order.
      mu: Weight of the rows' own error, in [0, 1].

    Returns:
      [B] in the dtype of the arrays.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      DSTGeH (Liu et al. 2020), eqs. 3 and 4. The last layer, the code, is its own reconstruction
      and takes no part. With fewer than two hidden layers the second term is 0. In dl-ai/DSTGeH, by
      the authors, a layer is compared with what its own decoder alone makes of its output.
    """
    errors = []
    for original, reconstruction in zip(inputs, outputs, strict=True):
        chex.assert_equal_shape([original, reconstruction])
        errors.append(jnp.square(original - reconstruction).sum(1))
    # `errors` begins with the rows, so that every second hidden layer is at 2, 4, ....
    hidden = errors[2::2]
    weights = [2.0**-t for t in range(len(hidden))]
    shares = sum(k / sum(weights) * error for k, error in zip(weights, hidden, strict=True))
    return mu * errors[0] + (1 - mu) * shares
