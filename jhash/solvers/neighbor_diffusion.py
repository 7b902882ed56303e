"""Features spread along the graph of nearest neighbors, so that groups draw together.

Shapes in names: N samples, z features.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError
from jhash.solvers import factored_graph, knn_graph


def diffuse(
    v_Nxz: np.ndarray | jax.Array, neighbors: int, weight: float, rounds: int
) -> np.ndarray:
    """Averages the features of each sample with those of its neighbors, again and again.

    With the features x scaled to length 1, every round is f <- weight S f + (1 - weight) x, which
    starts at x. S = D^-1/2 A D^-1/2 is the graph of `knn_graph.build`, and D has the sums of its
    rows. The limit of many rounds is (1 - weight) (I - weight S)^-1 x.

    Args:
      v_Nxz: Features, float; only their directions count.
      neighbors: Number of neighbors per sample, 1 to N - 1.
      weight: Share of the neighbors in a round, 0 to below 1. With 0 the features stay.
      rounds: Number of rounds, 0 or more.

    Returns:
      float32 [N, z]. The rows have different lengths.

    Raises:
      InputError: The weight is out of range, or `knn_graph.build` refuses the features or the
        neighbors.

    References:
      Zhou et al. 2003, Learning with Local and Global Consistency, with the features of all samples
      in place of the labels of some.
    """
    if not 0 <= weight < 1:
        raise InputError(f"weight: {weight} given; allowed: 0 to below 1.")
    spread = weight * knn_graph.normalized(knn_graph.build(np.asarray(v_Nxz), neighbors))
    x_Nxz = np.asarray(factored_graph.unit(jnp.asarray(v_Nxz, jnp.float32)))
    f_Nxz = x_Nxz
    for _ in range(rounds):
        f_Nxz = spread @ f_Nxz + (1 - weight) * x_Nxz
    return f_Nxz
