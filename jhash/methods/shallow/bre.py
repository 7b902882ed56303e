"""BRE, binary reconstructive embeddings, without labels (Kulis and Darrell 2009).

The Hamming distances of bits are fitted to the distances of features, |x_i - x_j|^2 / 2 divided by
the largest of them; `solvers.reconstructive_embedding` has the objective and the descent.

Source: the paper, section 3, and dengcai78/MatlabFunc:ANNS/Hashing/Unsupervised/BRE_learn.m and
BRE/BRE.m, which have the authors' descent. (Another copy of it, BRE/trainBRE.m in
willard-yuan/hashing-baseline-for-image-retrieval until 2c25c42, has 50 samples a bit in place of
20.) As published, BRE is fitted to a sample: 1,000 images, each paired with 5 % of
them. Features are centered and divided by their length for the fit. The sign of an inner product
does not depend on the length, so the hash function is linear in the features. Sums over pairs;
sgn(0) is -1. The database has the codes that the fitted function gives.

`bre_supervised` is the version with labels.
"""

import jax

from jhash.solvers import pca, reconstructive_embedding

QUICK = {"samples": 2}

encode = pca.apply_layer


def fit(
    features: jax.Array, labels: None, bits: int, key: jax.Array, *, samples: int = 1000
) -> dict[str, jax.Array]:
    """Fits bits to the distances of pairs of samples.

    Args:
      features: float [N, z].
      labels: Unused.
      bits: Code length.
      key: PRNG key of the samples, the pairs, and the start of the descent.
      samples: Number of samples that are paired.

    Returns:
      {"kernel": [z, bits], "bias": [bits]} of a linear layer whose outputs are the hash outputs.

    Raises:
      InputError: There are fewer than two samples.
    """
    del labels
    drawn = reconstructive_embedding.draw(features, samples, key)
    kernel_NxN = reconstructive_embedding.kernel(drawn)
    square_N = kernel_NxN.diagonal()
    distance_NxN = (square_N[:, None] + square_N) / 2 - kernel_NxN
    target_NxN = distance_NxN / (distance_NxN.max() or 1)
    target_P = target_NxN[drawn.pairs.first, drawn.pairs.second]
    return reconstructive_embedding.fit_layer(drawn, target_P, bits, key)
