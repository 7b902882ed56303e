"""The sparse graph of nearest neighbors by cosine, made without the N x N matrix of cosines.

Shapes in names: N samples, z features.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

from jhash.errors import InputError
from jhash.solvers import factored_graph

# Number of cosines in memory at a time: 128 MiB of float32.
_BLOCK = 2**25


@functools.partial(jax.jit, static_argnames="neighbors")
@jax.default_matmul_precision("highest")
def nearest(v_Nxz: jax.Array, neighbors: int) -> tuple[jax.Array, jax.Array]:
    """Finds the nearest neighbors of every sample by cosine, exactly and without the sample itself.

    Takes O(N^2 z) operations. The memory is that of the features scaled to length 1, and of a few
    blocks of max(2^25, N) cosines.

    Args:
      v_Nxz: Features. A row of zeros has a cosine of 0 with every other.
      neighbors: Number of neighbors per sample, 1 to N - 1.

    Returns:
      (indices int32 [N, neighbors], cosines float32 [N, neighbors]), ordered by (cosine falling,
      index).

    Raises:
      InputError: `neighbors` is not in 1 to N - 1, or there is a single sample.
    """
    samples = len(v_Nxz)
    if samples < 2:
        raise InputError(f"v_Nxz: {samples} samples given; allowed: 2 or more, to be neighbors.")
    if not 1 <= neighbors < samples:
        raise InputError(
            f"neighbors: {neighbors} given; allowed: 1 to {samples - 1}, "
            f"as each of the {samples} samples is a neighbor of others only."
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
    """Joins samples to their nearest neighbors, with the cosines as weights.

    Two samples are joined when one is among the nearest neighbors of the other, in either
    direction. A negative cosine counts as 0, which is no edge.

    Args:
      v_Nxz: Features, float.
      neighbors: Number of neighbors per sample, 1 to N - 1.

    Returns:
      float32 [N, N], symmetric, with a diagonal of zeros and without stored zeros.

    Raises:
      InputError: As for `nearest`, or features are NaN, infinite, or too large or small for a
        cosine.
    """
    v_Nxz = np.asarray(v_Nxz, np.float32)
    with np.errstate(over="ignore", under="ignore"):
        squares_N = np.square(v_Nxz).sum(1)
    # With such a length a row would have a cosine of 0, or none, with every other.
    if not np.isfinite(squares_N).all() or v_Nxz[squares_N == 0].any():
        raise InputError(
            "v_Nxz: features given whose cosines are NaN or infinite; allowed: finite features, "
            "whose squares are finite in float32, and not all 0 unless the features are."
        )
    indices, cosines = map(np.asarray, nearest(v_Nxz, neighbors))
    samples = len(indices)
    starts = np.arange(0, indices.size + 1, neighbors)
    weights = np.maximum(cosines, 0).reshape(-1)
    directed = scipy.sparse.csr_array((weights, indices.reshape(-1), starts), (samples, samples))
    symmetric = directed.maximum(directed.T).tocsr()
    symmetric.eliminate_zeros()
    return symmetric


def normalized(graph: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """Computes S = D^-1/2 A D^-1/2, where D has the sums of the rows of the graph A.

    A sample without edges keeps a row of zeros.
    """
    sums_N = np.asarray(graph.sum(axis=1), np.float32).reshape(-1)
    scales = scipy.sparse.diags_array(1 / np.sqrt(np.where(sums_N > 0, sums_N, 1)))
    return (scales @ graph @ scales).tocsr()


class Lists(NamedTuple):
    """A sparse graph as lists of one length, for compiled programs.

    Attributes:
      columns: The neighbors of each sample, int32 [N, m]; m is the largest number of neighbors. A
        shorter list ends with the sample itself.
      weights: The weights of these edges, float32 [N, m]; 0 where a list has ended.
    """

    columns: jax.Array
    weights: jax.Array


def lists(graph: scipy.sparse.csr_array) -> Lists:
    """Makes the lists of a graph of N samples.

    Both together take 8 N m bytes, where m is the number of neighbors of the sample that has most.
    """
    counts_N = np.diff(graph.indptr)
    samples, longest = len(counts_N), max(1, int(counts_N.max(initial=0)))
    filled_Nxm = np.arange(longest) < counts_N[:, None]
    columns_Nxm = np.repeat(np.arange(samples, dtype=np.int32)[:, None], longest, axis=1)
    columns_Nxm[filled_Nxm] = graph.indices
    weights_Nxm = np.zeros((samples, longest), np.float32)
    weights_Nxm[filled_Nxm] = graph.data
    return Lists(jnp.asarray(columns_Nxm), jnp.asarray(weights_Nxm))


def joined(graph: Lists) -> jax.Array:
    """Says which samples have an edge: 1 or 0, float32 [N]."""
    return (graph.weights > 0).any(1).astype(jnp.float32)


@jax.jit
@jax.default_matmul_precision("highest")
def sums(graph: Lists, values_NxL: jax.Array, samples_B: jax.Array) -> jax.Array:
    r"""Computes \sum_j u_ij values_j for some samples i, [B, L], from the lists of u."""
    weights_Bxm = graph.weights[samples_B]
    return jnp.einsum("bm,bml->bl", weights_Bxm, values_NxL[graph.columns[samples_B]])
