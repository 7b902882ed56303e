"""The graph of nearest neighbours by cosine, sparse, without the N x N matrix of cosines.

Shapes in names: N samples, z features.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from jhash.errors import InputError
from jhash.solvers import factored_graph

# Cosines in memory at a time, 128 MiB of float32.
_BLOCK = 2**25


@functools.partial(jax.jit, static_argnames="neighbors")
@jax.default_matmul_precision("highest")
def nearest(v_Nxz: jax.Array, neighbors: int) -> tuple[jax.Array, jax.Array]:
    """The nearest neighbours of every sample by cosine, exactly, itself left out.

    Takes O(N^2 z) operations, and memory for the features' directions and for a few blocks of
    2^25 cosines, or of N if that is more.

    Args:
      v_Nxz: Features. One that is all zeros has a cosine of 0 with every other.
      neighbors: Number of neighbors of a sample, 1 to N - 1.

    Returns:
      (indices int32 [N, neighbors], cosines float32 [N, neighbors]), ordered by (cosine falling,
      index).

    Raises:
      InputError: As many neighbours as samples, or more, or none.
    """
    samples = len(v_Nxz)
    if not 1 <= neighbors < samples:
        raise InputError(
            f"neighbors: {neighbors} given; allowed: 1 to {samples - 1}, "
            f"as each of the {samples} samples is a neighbour of others only."
        )
    v_Nxz = factored_graph.unit(jnp.asarray(v_Nxz, jnp.float32))

    def row(i):
        cosines_N = v_Nxz @ v_Nxz[i]
        # Of equal values, top_k takes those of lower index first.
        return jax.lax.top_k(jnp.where(jnp.arange(samples) == i, -jnp.inf, cosines_N), neighbors)

    cosines, indices = jax.lax.map(
        row, jnp.arange(samples), batch_size=min(samples, max(1, _BLOCK // samples))
    )
    return indices, cosines


def build(v_Nxz: np.ndarray, neighbors: int) -> scipy.sparse.csr_array:
    """Samples joined to their nearest neighbours, with the cosines as weights.

    Two samples are joined when one is among the nearest neighbours of the other. A negative cosine
    weighs 0, which is no edge.

    Args:
      v_Nxz: Features, float.
      neighbors: Number of neighbors of a sample, 1 to N - 1.

    Returns:
      float32 [N, N], symmetric, with a diagonal of zeros and without stored zeros.

    Raises:
      InputError: As for `nearest`, or features that are NaN or infinite.
    """
    indices, cosines = map(np.asarray, nearest(v_Nxz, neighbors))
    if not np.isfinite(cosines).all():
        raise InputError("features: some are NaN or infinite, or too large for a cosine.")
    samples = len(indices)
    starts = np.arange(0, indices.size + 1, neighbors)
    weights = np.maximum(cosines, 0).reshape(-1)
    directed = scipy.sparse.csr_array((weights, indices.reshape(-1), starts), (samples, samples))
    symmetric = directed.maximum(directed.T).tocsr()
    symmetric.eliminate_zeros()
    return symmetric
