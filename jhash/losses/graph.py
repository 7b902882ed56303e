"""Losses of graph embeddings, without the graph's adjacency matrix.

Shapes in names: N nodes, r columns of the adjacency matrix's factors, L bits, B nodes of a batch.
"""

import functools
from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp


@jax.jit
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def first_order_loss(h_NxL: jax.Array, left_Nxr: jax.Array, right_Nxr: jax.Array) -> jax.Array:
    r"""\sum_{i,j} u_ij ||h_i - h_j||^2 over all ordered pairs, u_ij = left_i . right_j.

    In its factored form, 2 (\sum_i d_i ||h_i||^2 - <left'H, right'H>) with the degrees
    d = left (right'1), so that it takes O(N r L) operations and no N x N matrix, exactly.

    Args:
      h_NxL: Real codes.
      left_Nxr: Of the weights, which are symmetric: both the features of length 1, for the cosine.
      right_Nxr: Their other factor.

    Returns:
      Scalar in the dtype of h. Not negative unless a u_ij is.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      DSTGeH (Liu et al. 2020), eq. 5 with the u_ij of eq. 1.
    """
    chex.assert_rank([h_NxL, left_Nxr], 2)
    chex.assert_equal_shape([left_Nxr, right_Nxr])
    chex.assert_equal_shape_prefix([h_NxL, left_Nxr], 1)
    # The loss does not change when all codes move together, but its two terms do: near their mean
    # they do not cancel as much.
    h_NxL = h_NxL - h_NxL.mean(0)
    degrees_N = left_Nxr @ right_Nxr.sum(0)
    own = (degrees_N * jnp.square(h_NxL).sum(1)).sum()
    return 2 * (own - jnp.vdot(left_Nxr.T @ h_NxL, right_Nxr.T @ h_NxL))


@jax.jit
def first_order_share(h_BxL: jax.Array, degrees_B: jax.Array, pull_BxL: jax.Array) -> jax.Array:
    r"""A function of some nodes' codes with the gradient that `first_order_loss` has in them.

    \sum_i 2 d_i ||h_i||^2 - 4 h_i . p_i, where p_i = \sum_j u_ij h_j is held fixed. Its value is
    not the loss.

    Args:
      h_BxL: Real codes of the nodes.
      degrees_B: d_i.
      pull_BxL: p_i, over all nodes of the graph.

    Returns:
      [B].

    Raises:
      AssertionError: Shapes do not fit.
    """
    chex.assert_equal_shape([h_BxL, pull_BxL])
    chex.assert_shape(degrees_B, h_BxL.shape[:1])
    own = 2 * degrees_B * jnp.square(h_BxL).sum(1)
    return own - 4 * (h_BxL * jax.lax.stop_gradient(pull_BxL)).sum(1)


@functools.partial(jax.jit, static_argnames="mu")
def second_order_loss(
    inputs: Sequence[jax.Array], outputs: Sequence[jax.Array], *, mu: float
) -> jax.Array:
    r"""L_so: mu ||u - u^||^2 + (1 - mu) \sum_t k_t ||f^(2t) - f^^(2t)||^2.

    k_t / k_{t+1} = 2 and \sum_t k_t = 1.

    Args:
      inputs: u [B, N], then f^(1), ... of the encoder's hidden layers, [B, width] each.
      outputs: Their reconstructions by the decoder, in the same order.
      mu: Weight of the rows themselves, in [0, 1].

    Returns:
      [B].

    Raises:
      AssertionError: Shapes do not fit.

    References:
      DSTGeH (Liu et al. 2020), eqs. 3 and 4. The last layer, the code, is its own reconstruction
      and takes no part; with fewer than two hidden layers the second term is 0.
    """
    errors = []
    for given, found in zip(inputs, outputs, strict=True):
        chex.assert_equal_shape([given, found])
        errors.append(jnp.square(given - found).sum(1))
    hidden = errors[2::2]
    weights = [2.0**-t for t in range(len(hidden))]
    shares = sum(k / sum(weights) * error for k, error in zip(weights, hidden, strict=True))
    return mu * errors[0] + (1 - mu) * shares
