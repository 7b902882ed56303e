"""Complete graphs of feature vectors, stored as two factors instead of an adjacency matrix.

Shapes in names: N nodes, z features, r columns of a factor, B nodes of a batch.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Graph(NamedTuple):
    """A graph whose edge between i and j has the weight u_ij = left_i . right_j = u_ji.

    Attributes:
      left: First factor of the adjacency matrix, float32 [N, r].
      right: Second factor of the adjacency matrix, float32 [N, r].
    """

    left: jax.Array
    right: jax.Array


def cosine(features_Nxz: jax.Array) -> Graph:
    """Makes the graph of cosines, u_ij = v_i . v_j / (|v_i| |v_j|) in [-1, 1].

    A vector of length 0 has a cosine of 0 with all others. The two factors are one array in memory.

    Args:
      features_Nxz: Vectors v, float.

    References:
      DSTGeH (Liu et al. 2020), eq. 1.
    """
    v_Nxz = unit(features_Nxz)
    return Graph(v_Nxz, v_Nxz)


@jax.jit
def euclidean(features_Nxz: jax.Array) -> Graph:
    """Makes the graph of Euclidean distances, u_ij = 1 - |v_i - v_j|^2 / (2 max_k |v_k|^2).

    The weights lie in [-1, 1].

    Args:
      features_Nxz: Vectors v, float.

    References:
      DSTGeH (Liu et al. 2020), section 3.2, "Influence of distance metric", which gives no formula.
      The code that it points to, dl-ai/DSTGeH, has the distance itself, which is largest for the
      pairs that are least alike. The one here falls with the distance, is the cosine where all
      vectors have the same length, and has two factors of few columns, which a Gaussian of the
      distance does not have.
    """
    squares_Nx1 = jnp.square(features_Nxz).sum(1, keepdims=True)
    largest = squares_Nx1.max()
    scale = 2 * jnp.where(largest == 0, 1, largest)
    # With s for `scale`: u_ij = (1 - |v_i|^2 / s) 1 + 1 (-|v_j|^2 / s) + 2 v_i . v_j / s.
    ones_Nx1 = jnp.ones_like(squares_Nx1)
    scaled_Nxz = features_Nxz * jnp.sqrt(2 / scale)
    left_Nxr = jnp.concatenate([1 - squares_Nx1 / scale, ones_Nx1, scaled_Nxz], axis=1)
    right_Nxr = jnp.concatenate([ones_Nx1, -squares_Nx1 / scale, scaled_Nxz], axis=1)
    return Graph(left_Nxr, right_Nxr)


@jax.jit
def unit(features_Nxz: jax.Array) -> jax.Array:
    """Scales rows to length 1, [N, z]; a row of length 0 stays as it is."""
    lengths_Nx1 = jnp.linalg.norm(features_Nxz, axis=1, keepdims=True)
    return features_Nxz / jnp.where(lengths_Nx1 == 0, 1, lengths_Nx1)


METRICS = {"cosine": cosine, "euclidean": euclidean}


def rows(graph: Graph, nodes_B: jax.Array) -> jax.Array:
    """Computes the rows u_i of the adjacency matrix that belong to some nodes, [B, N]."""
    return graph.left[nodes_B] @ graph.right.T


def degrees(graph: Graph) -> jax.Array:
    """Computes the sum of each node's weights, that with itself included, [N]."""
    return graph.left @ graph.right.sum(0)
