"""LE: Laplacian eigenmaps of the neighbors' graph (Belkin and Niyogi 2003), as DSTGeH compares."""

import jax
import numpy as np

from jhash.solvers import knn_graph, thresholds
from jhash.solvers.eigenmaps import eigenmaps

# As in the code of Self-Taught Hashing.
NEIGHBORS = 25


def embed(
    v_Nxz: np.ndarray, bits: int, key: jax.Array, folder: str = "", neighbors: int = NEIGHBORS
) -> np.ndarray:
    """Eigenvectors of the graph's Laplacian, each thresholded at its median.

    Args:
      v_Nxz: Features, float; only their directions count.
      bits: Code length, at most N - 1.
      key: PRNG key of what `eigenmaps` draws.
      folder: Not used: a call that was killed starts anew.
      neighbors: Of a sample in the graph, 1 to N - 1.

    Returns:
      float32 [N, bits], bit = value > 0, in the order of `eigenmaps`.

    Raises:
      InputError: As for `graph` and `eigenmaps`.

    References:
      Zhang et al. 2010, Self-Taught Hashing, whose first stage this is. The weights are theirs,
      cosines.
    """
    del folder
    return thresholds.center_at_median(eigenmaps(knn_graph.build(v_Nxz, neighbors), bits, key))
