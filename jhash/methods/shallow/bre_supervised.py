"""BRE, binary reconstructive embeddings, with labels (Kulis and Darrell 2009).

The Hamming distances of bits are fitted to 0 for pairs that share a label and to 1 for others;
`solvers.reconstructive_embedding` has the objective and the descent.

Source: the paper, sections 3 and 5, for the targets; for all else `bre`, the version without
labels, whose sample and random pairs this one has, too, as the pairs of the paper's supervised
version are not known in detail. Sums over pairs; sgn(0) is -1. The database has the codes that the
fitted function gives.
"""

import jax
import numpy as np

from jhash.solvers import pca, reconstructive_embedding

SUPERVISED = True
QUICK = {"samples": 2}

encode = pca.apply_layer


def fit(
    features: jax.Array, labels: jax.Array, bits: int, key: jax.Array, *, samples: int = 1000
) -> dict[str, jax.Array]:
    """Fits bits to the labels of pairs of samples.

    Args:
      features: float [N, z].
      labels: int [N] class ids or 0/1 [N, C].
      bits: Code length.
      key: PRNG key of the samples, the pairs, and the start of the descent.
      samples: Number of samples that are paired.

    Returns:
      {"kernel": [z, bits], "bias": [bits]} of a linear layer whose outputs are the hash outputs.

    Raises:
      InputError: There are fewer than two samples.
    """
    drawn = reconstructive_embedding.draw(features, samples, key)
    labels = np.asarray(labels)[drawn.indices]
    first, second = labels[drawn.pairs.first], labels[drawn.pairs.second]
    similar_P = (first * second).any(1) if labels.ndim == 2 else first == second
    return reconstructive_embedding.fit_layer(drawn, 1.0 - similar_P, bits, key)
