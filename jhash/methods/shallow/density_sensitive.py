"""Density sensitive hashing: planes between neighboring groups of samples (Jin et al. 2014).

k-means makes 1.5 l groups. Two groups are neighbors if one is among the three nearest of the other.
The plane halfway between the means of two neighbors is a candidate for a bit; the l candidates that
divide the samples most evenly, with groups taken as whole, are the bits.

Source: the paper, sections 3.1 to 3.3, and willard-yuan/hashing-baseline-for-image-retrieval:
Method-DSH/trainDSH.m, the authors' code, with its constants. There a pair of groups is known by its
distance, so that of pairs with equal distances one is used; here it is known by its indices. Where
three neighbors give too few pairs, there are more. The authors divide samples by their length,
which is left to the model of the features here. No labels are used; sgn(0) is -1; the database has
the codes that the fitted function gives.

This is the row "DSH" of DAH's tables. They cite Deep Supervised Hashing, another method, but the
row's MAP (.145 to .165) and its time to encode an image (2.68 microseconds, LSH 2.86) are those of
a linear function that was fitted without labels.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import distance

from jhash.errors import InputError
from jhash.solvers import k_means, pca

encode = pca.apply_layer

# The published constants: groups per bit, iterations of k-means, and neighbors of a group.
_GROUPS_PER_BIT = 1.5
_ITERATIONS = 3
_NEIGHBORS = 3


def fit(features: jax.Array, labels: None, bits: int, key: jax.Array) -> dict[str, jax.Array]:
    """Fits planes between groups of samples.

    Args:
      features: float [N, z].
      labels: Unused.
      bits: Code length.
      key: PRNG key of the samples with which k-means begins.

    Returns:
      {"kernel": [z, bits], "bias": [bits]} of a linear layer whose outputs are the hash outputs.

    Raises:
      InputError: There are fewer pairs of samples than bits.
    """
    del labels
    groups = min(len(features), int(_GROUPS_PER_BIT * bits + 0.5))
    # Two groups have one plane between them.
    while groups < len(features) and groups * (groups - 1) // 2 < bits:
        groups += 1
    if groups * (groups - 1) // 2 < bits:
        raise InputError(
            f"bits: {bits} given; allowed: 1 to {groups * (groups - 1) // 2}, as there are "
            f"{len(features)} samples, and each bit takes a pair of them."
        )
    centers_Kxz, sizes_K = k_means.k_means(features, groups, key, iterations=_ITERATIONS)
    left_L, right_L = choose(np.asarray(centers_Kxz), np.asarray(sizes_K), bits)
    left_Lxz, right_Lxz = centers_Kxz[left_L], centers_Kxz[right_L]
    halves_L = (jnp.square(left_Lxz) - jnp.square(right_Lxz)).sum(1) / 2
    return {"kernel": (left_Lxz - right_Lxz).T, "bias": -halves_L}


def choose(
    centers_Kxz: np.ndarray, sizes_K: np.ndarray, bits: int
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses the pairs of neighboring groups whose planes divide the samples most evenly.

    Args:
      centers_Kxz: Means of the groups.
      sizes_K: Numbers of samples in them.
      bits: Number of pairs, at most K (K - 1) / 2.

    Returns:
      Indices of both groups of each pair, int [bits] each, the most even pair first.
    """
    pairs = _neighbors(centers_Kxz, bits)
    left_P, right_P = np.array(sorted(pairs)).T
    normals_Pxz = centers_Kxz[left_P] - centers_Kxz[right_P]
    middles_P = ((centers_Kxz[left_P] + centers_Kxz[right_P]) / 2 * normals_Pxz).sum(1)
    above_PxK = normals_Pxz @ centers_Kxz.T > middles_P[:, None]
    share_P = above_PxK @ sizes_K / sizes_K.sum()
    chosen = np.argsort(np.abs(share_P - 0.5), kind="stable")[:bits]
    return left_P[chosen], right_P[chosen]


def _neighbors(centers_Kxz, bits):
    """Returns the pairs of which one is among the nearest groups of the other, `bits` or more."""
    distance_KxK = distance.cdist(centers_Kxz, centers_Kxz, "sqeuclidean")
    np.fill_diagonal(distance_KxK, np.inf)
    order_KxK = np.argsort(distance_KxK, axis=1, kind="stable")[:, :-1]
    pairs = set()
    for count in itertools.count(min(_NEIGHBORS, order_KxK.shape[1])):
        nearest = enumerate(order_KxK[:, :count])
        pairs = {tuple(sorted((i, int(j)))) for i, others in nearest for j in others}
        if len(pairs) >= bits:
            return pairs
