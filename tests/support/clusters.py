"""Features in clusters, for graphs of neighbors."""

import numpy as np


def clusters(sizes, spread, seed=0, width=12):
    """Features around orthogonal directions, shuffled, and the direction of each."""
    rng = np.random.default_rng(seed)
    which = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    noise = spread * rng.normal(size=(len(which), width))
    return (np.eye(width)[which] + noise).astype(np.float32), which
