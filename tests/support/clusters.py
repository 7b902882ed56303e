"""Features in clusters, for graphs of neighbors."""

import numpy as np
import scipy.sparse.csgraph

from jhash.solvers import knn_graph


def clusters(sizes, spread, seed=0, width=12):
    """Features around orthogonal directions, shuffled, and the direction of each."""
    rng = np.random.default_rng(seed)
    which = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    noise = spread * rng.normal(size=(len(which), width))
    return (np.eye(width)[which] + noise).astype(np.float32), which


def joined_clusters():
    """Features of four clusters, and the graph of their neighbors, which is one component."""
    features = clusters([80, 60, 50, 70], 0.35)[0]
    graph = knn_graph.build(features, 10)
    assert scipy.sparse.csgraph.connected_components(graph)[0] == 1
    return features, graph
