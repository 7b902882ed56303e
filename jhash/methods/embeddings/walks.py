"""Word2Vec on random walks over the neighbours' graph (DeepWalk), as DSTGeH compares.

Needs gensim: pip install 'jhash[walks]'.
"""

import jax
import numpy as np
import scipy.sparse

from jhash.errors import InputError
from jhash.solvers import knn_graph, thresholds

NEIGHBORS = 25
WALKS = 10
LENGTH = 40  # DeepWalk's.
WINDOW = 5  # gensim's.


def embed(
    v_Nxz: np.ndarray,
    bits: int,
    key: jax.Array,
    folder: str = "",
    neighbors: int = NEIGHBORS,
    walks: int = WALKS,
    length: int = LENGTH,
    window: int = WINDOW,
) -> np.ndarray:
    """Skip-gram vectors of the samples as words of random walks, thresholded at the median.

    DSTGeH does not say how it makes words of a graph; walks are the usual way. Each is seen once.
    Skip-gram with negative sampling has gensim's defaults, except that it leaves out no frequent
    sample.

    Args:
      v_Nxz: Features, float; only their directions count.
      bits: Code length.
      key: PRNG key of the walks and of gensim's draws.
      folder: Not used: a call that was killed starts anew.
      neighbors: Of a sample in the graph, 1 to N - 1.
      walks: That start at each sample.
      length: Samples in a walk, the first included.
      window: The farthest apart, in a walk, that two samples are each other's context.

    Returns:
      float32 [N, bits], bit = value > 0. The same for the same key, in one version of gensim.

    Raises:
      InputError: As for `graph`, numbers below the least allowed, or gensim is not installed.

    References:
      Perozzi et al. 2014, DeepWalk; Mikolov et al. 2013. There each edge is as likely as another,
      here in proportion to its weight; and the softmax is hierarchical.
    """
    del folder
    word2vec = _import_word2vec()
    given = {"bits": bits, "walks": walks, "length": length, "window": window}
    for name, value in given.items():
        if value < (smallest := 2 if name == "length" else 1):
            raise InputError(f"{name}: {value} given; allowed: {smallest} and more.")
    seed, walk_seed = jax.random.bits(key, 2, np.uint32).tolist()
    words = random_walks(knn_graph.build(v_Nxz, neighbors), walks, length, walk_seed)
    model = word2vec.Word2Vec(
        _Rows(words),
        vector_size=bits,
        window=window,
        epochs=1,
        sg=1,
        min_count=1,
        sample=0,
        seed=seed,
        workers=1,  # With more, the updates' order depends on the threads' timing.
    )
    # Python's hash, which differs from run to run for strings, is that of integers here.
    vectors = np.empty((len(v_Nxz), bits), np.float32)
    vectors[model.wv.index_to_key] = model.wv.vectors
    return thresholds.center_at_median(vectors)


def random_walks(weights: scipy.sparse.csr_array, walks: int, length: int, seed: int) -> np.ndarray:
    """Walks over a graph, each step to a neighbour with a probability in proportion to its weight.

    Args:
      weights: [N, N], not negative.
      walks: That start at each sample.
      length: Samples in a walk, the first included.
      seed: Of NumPy's generator.

    Returns:
      int32 [walks * N, length]: every N rows start at all samples, in an order of their own. A walk
      stays at a sample without edges.
    """
    rng = np.random.default_rng(seed)
    samples = weights.shape[0]
    # A step's neighbour is where a uniform number lies among the weights summed over all edges,
    # between the first and the last of the row's.
    sums = np.concatenate([[0], np.cumsum(weights.data, dtype=np.float64)])
    starts, ends = weights.indptr[:-1], weights.indptr[1:]
    found = np.empty((walks * samples, length), np.int32)
    found[:, 0] = np.concatenate([rng.permutation(samples) for _ in range(walks)])
    for step in range(1, length):
        here = found[:, step - 1]
        low, high = sums[starts[here]], sums[ends[here]]
        drawn = low + rng.random(len(here)) * (high - low)
        edge = np.searchsorted(sums, drawn, side="right") - 1
        edge = np.clip(edge, starts[here], ends[here] - 1)  # Rounding may reach the row's end.
        moves = ends[here] > starts[here]
        found[:, step] = here
        found[moves, step] = weights.indices[edge[moves]]
    return found


class _Rows:
    """Rows as lists of int, as often as they are asked for and one at a time."""

    def __init__(self, rows):
        self._rows = rows

    def __iter__(self):
        return (row.tolist() for row in self._rows)


def _import_word2vec():
    try:
        from gensim.models import word2vec
    except ImportError as error:
        raise InputError(f"walks needs gensim: pip install 'jhash[walks]'. ({error})") from error
    return word2vec
