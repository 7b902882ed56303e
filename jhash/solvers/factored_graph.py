"""Complete graphs of feature vectors, of which no adjacency matrix is stored, only its factors.

Shapes in names: N nodes, z features, r columns of a factor, B nodes of a batch.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Graph(NamedTuple):
    """Weights u_ij = left_i . right_j, the same for i, j and j, i.

    Attributes:
      left: float32 [N, r].
      right: float32 [N, r].
    """

    left: jax.Array
    right: jax.Array


def cosine(features_Nxz: jax.Array) -> Graph:
    """u_ij = v_i . v_j / (|v_i| |v_j|), in [-1, 1]; 0 for a vector of length 0.

    Its two factors are one array in memory.

    References:
      DSTGeH (Liu et al. 2020), eq. 1.
    """
    v_Nxz = unit(features_Nxz)
    return Graph(v_Nxz, v_Nxz)


@jax.jit
def euclidean(features_Nxz: jax.Array) -> Graph:
    """u_ij = 1 - |v_i - v_j|^2 / (2 max_k |v_k|^2), in [-1, 1].

    The paper's ablation gives no formula. This one falls with the distance, is the cosine where all
    vectors have one length, and has factors, which a Gaussian has not.

    References:
      DSTGeH (Liu et al. 2020), section 3.2, "Influence of distance metric".
    """
    squares_Nx1 = jnp.square(features_Nxz).sum(1, keepdims=True)
    largest = squares_Nx1.max()
    scale = 2 * jnp.where(largest == 0, 1, largest)
    ones, scaled = jnp.ones_like(squares_Nx1), features_Nxz * jnp.sqrt(2 / scale)
    left = jnp.concatenate([1 - squares_Nx1 / scale, ones, scaled], axis=1)
    return Graph(left, jnp.concatenate([ones, -squares_Nx1 / scale, scaled], axis=1))


@jax.jit
def unit(features_Nxz: jax.Array) -> jax.Array:
    """Rows of length 1, [N, z]; one of length 0 stays."""
    lengths = jnp.linalg.norm(features_Nxz, axis=1, keepdims=True)
    return features_Nxz / jnp.where(lengths == 0, 1, lengths)


METRICS = {"cosine": cosine, "euclidean": euclidean}


def rows(graph: Graph, nodes_B: jax.Array) -> jax.Array:
    """Rows u_i of the adjacency matrix, [B, N]."""
    return graph.left[nodes_B] @ graph.right.T


def degrees(graph: Graph) -> jax.Array:
    """The sum of each node's weights, its own included, [N]."""
    return graph.left @ graph.right.sum(0)
