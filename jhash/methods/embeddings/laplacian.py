"""LE: Laplacian eigenmaps of a neighbor graph (Belkin and Niyogi 2003), a baseline of DSTGeH."""

import jax
import numpy as np

from jhash import config_fields
from jhash.solvers import knn_graph, thresholds
from jhash.solvers.eigenmaps import eigenmaps

# As in Self-Taught Hashing: see methods/shallow/sth.py.
NEIGHBORS = 25


def check(nodes: int, bits: int, neighbors: int = NEIGHBORS) -> None:
    """Refuses a number of bits or neighbors that a graph of that many nodes cannot have."""
    fields = {"bits": bits, "neighbors": neighbors}
    of_graph = dict.fromkeys(fields, config_fields.integer(1, nodes - 1))
    config_fields.check_group(fields, of_graph)


def embed(
    v_Nxz: np.ndarray, bits: int, key: jax.Array, folder: str = "", neighbors: int = NEIGHBORS
) -> np.ndarray:
    """Computes eigenvectors of the Laplacian of a neighbor graph, thresholded at their medians.

    Args:
      v_Nxz: Features, float; only their directions count.
      bits: Code length, at most N - 1.
      key: PRNG key for the random start of `eigenmaps`.
      folder: Unused: a call that was killed starts anew.
      neighbors: Number of neighbors of a sample in the graph, 1 to N - 1.

    Returns:
      float32 [N, bits], bit = value > 0, in the order of `eigenmaps`.

    Raises:
      InputError: `knn_graph.build` or `eigenmaps` refuses the features, the bits or the neighbors.

    References:
      Zhang et al. 2010, Self-Taught Hashing: this is its first stage. As there, the weights of the
      edges are cosines.
    """
    del folder
    return thresholds.center_at_median(eigenmaps(knn_graph.build(v_Nxz, neighbors), bits, key))
