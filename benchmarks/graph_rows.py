"""Graphs of nearest neighbors as whole matrices, which jhash does not have: they have no factors.

They are metrics for `graph_codes.py --scan metric ...`, of a few thousand images. S is the graph of
the 15 nearest neighbors, normalized to D^-1/2 A D^-1/2.
"""

import functools

import jax.numpy as jnp
import numpy as np

from jhash.solvers import factored_graph, knn_graph, neighbor_diffusion

NEIGHBORS, WEIGHT = 15, 0.9


def _graph(change, neighbors, v_Nxz):
    s_NxN = knn_graph.normalized(knn_graph.build(np.asarray(v_Nxz), neighbors)).toarray()
    matrix_NxN = change(s_NxN).astype(np.float32)
    return factored_graph.Graph(jnp.asarray(matrix_NxN), jnp.eye(len(matrix_NxN)))


def _limit(s_NxN):
    return (1 - WEIGHT) * np.linalg.inv(np.eye(len(s_NxN)) - WEIGHT * s_NxN)


def _diffused(v_Nxz):
    diffused = neighbor_diffusion.diffuse(v_Nxz, NEIGHBORS, WEIGHT, rounds=10)
    return factored_graph.cosine(jnp.asarray(diffused))


METRICS = {
    "neighbors": functools.partial(_graph, lambda s: s, NEIGHBORS),
    "neighbors_50": functools.partial(_graph, lambda s: s, 50),
    "neighbors_and_self": functools.partial(_graph, lambda s: (s + np.eye(len(s))) / 2, NEIGHBORS),
    "two_steps": functools.partial(_graph, lambda s: s @ s, NEIGHBORS),
    "limit": functools.partial(_graph, _limit, NEIGHBORS),
    "diffused_whole": _diffused,
}
