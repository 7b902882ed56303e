"""Word2Vec on random walks over a neighbor graph (DeepWalk), a baseline of DSTGeH.

It needs gensim: pip install '.[walks]'.
"""

import jax
import numpy as np
import scipy.sparse

from jhash import config_fields
from jhash.errors import InputError
from jhash.solvers import knn_graph, thresholds

NEIGHBORS = 25
WALKS = 10
LENGTH = 40  # The default of DeepWalk.
WINDOW = 5  # The default of gensim.


def check(
    nodes: int,
    bits: int,
    neighbors: int = NEIGHBORS,
    walks: int = WALKS,
    length: int = LENGTH,
    window: int = WINDOW,
) -> None:
    """Refuses options that `embed` cannot have for that many nodes, or a missing gensim."""
    given = {"walks": walks, "length": length, "window": window}
    given |= {"bits": bits, "neighbors": neighbors}
    fields = {
        "bits": config_fields.integer(1, 10**6),
        "neighbors": config_fields.integer(1, nodes - 1),
        "walks": config_fields.integer(1, 10**6),
        "length": config_fields.integer(2, 10**6),
        "window": config_fields.integer(1, 10**6),
    }
    config_fields.check_group(given, fields)
    _import_word2vec()


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
    """Learns skip-gram vectors, with samples as words and random walks as sentences.

    The threshold of each component of the vectors is its median. DSTGeH does not say how it turns a
    graph into sentences; random walks are the usual way. Training passes once over the walks. It is
    skip-gram with negative sampling and the defaults of gensim, except that no frequent word is
    left out.

    Args:
      v_Nxz: Features, float; only their directions count.
      bits: Code length.
      key: PRNG key for the walks and for gensim.
      folder: Unused: a call that was killed starts anew.
      neighbors: Number of neighbors of a sample in the graph, 1 to N - 1.
      walks: Number of walks that start at each sample.
      length: Number of samples in a walk, with the first.
      window: Max distance in a walk at which one sample is context of another.

    Returns:
      float32 [N, bits], bit = value > 0. They are a function of the arguments within one version of
      gensim.

    Raises:
      InputError: `knn_graph.build` refuses the features or the neighbors, another number is too
        small, or gensim is not installed.

    References:
      Perozzi et al. 2014, DeepWalk, and Mikolov et al. 2013. In DeepWalk all edges of a sample are
      equally likely, here they are likely in proportion to their weights. Its softmax is
      hierarchical; here it is approximated by negative sampling.
    """
    del folder
    check(len(v_Nxz), bits, neighbors, walks, length, window)
    word2vec = _import_word2vec()
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
        workers=1,  # With several, the order of the updates depends on the timing of threads.
    )
    # gensim initializes a word's vector by Python's hash of the word. Words are integers here, as
    # the hash of a string differs from process to process.
    vectors = np.empty((len(v_Nxz), bits), np.float32)
    vectors[model.wv.index_to_key] = model.wv.vectors
    return thresholds.center_at_median(vectors)


def random_walks(weights: scipy.sparse.csr_array, walks: int, length: int, seed: int) -> np.ndarray:
    """Walks over a graph; a step takes an edge with a probability in proportion to its weight.

    Args:
      weights: Weights of the edges, [N, N], not negative.
      walks: Number of walks that start at each sample.
      length: Number of samples in a walk, with the first.
      seed: Seed of NumPy's generator.

    Returns:
      The samples that each walk visits, in order, int32 [walks * N, length]. Each block of N rows
      has one walk from every sample, in random order. A walk stays at a sample without edges.
    """
    rng = np.random.default_rng(seed)
    samples = weights.shape[0]
    # Every edge owns an interval as long as its weight, and the intervals of a sample's edges are
    # adjacent. To draw an edge of a sample, draw a uniform number over its intervals and look up in
    # which it lies.
    sums = np.concatenate([[0], np.cumsum(weights.data, dtype=np.float64)])
    starts, ends = weights.indptr[:-1], weights.indptr[1:]
    visited = np.empty((walks * samples, length), np.int32)
    visited[:, 0] = np.concatenate([rng.permutation(samples) for _ in range(walks)])
    for step in range(1, length):
        here = visited[:, step - 1]
        low, high = sums[starts[here]], sums[ends[here]]
        drawn = low + rng.random(len(here)) * (high - low)
        edge = np.searchsorted(sums, drawn, side="right") - 1
        edge = np.clip(edge, starts[here], ends[here] - 1)  # Rounding may leave the intervals.
        moves = ends[here] > starts[here]
        visited[:, step] = here
        visited[moves, step] = weights.indices[edge[moves]]
    return visited


class _Rows:
    """Gives the rows of an array as lists of int, one by one, in every iteration anew."""

    def __init__(self, rows):
        self._rows = rows

    def __iter__(self):
        return (row.tolist() for row in self._rows)


def _import_word2vec():
    try:
        from gensim.models import word2vec
    except ImportError as error:
        raise InputError(
            f"name: 'walks' given without gensim; allowed: 'walks' after pip install -e '.[walks]' "
            f"({error})."
        ) from error
    return word2vec
