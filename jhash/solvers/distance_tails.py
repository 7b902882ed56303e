"""The distances that are clearly small or large, from the histogram of all pairs of some samples.

Shapes in names: S samples, R rows of a block of them, z features.
"""

import jax
import jax.numpy as jnp
import numpy as np

# Width of the bins, and the largest distance of two directions over it.
_WIDTH = 0.01
_BINS = 200
# Number of distances in memory at a time: 32 MiB of float32.
_BLOCK = 2**23


def thresholds(unit_Sxz: np.ndarray, factor: float) -> tuple[float, float]:
    """Finds the distances below and above which pairs are clearly similar and dissimilar.

    The distances 1 - cos of all pairs have a histogram with a mode m. Its two sides are taken for
    the halves of two normal distributions with the mean m and the deviations s and t. The
    thresholds are m - factor s and m + factor t.

    Args:
      unit_Sxz: Features of length 1, at least 2 samples. Rows of 0 have the distance 1 to all.
      factor: Number of deviations.

    Returns:
      (lower threshold, upper threshold).

    References:
      SSDH (Yang et al. 2018), section 3.2; yangerkun/IJCAI2018_SSDH:main.py. As there, m is the
      left end of the fullest of bins of width 0.01. There the bins end at 1, since features after a
      ReLU are no farther apart; here at 2. The pairs of a sample with itself, which are counted
      there, are not here.
    """
    counts_K, sums_K, squares_K = _histogram(np.asarray(unit_Sxz, np.float32))
    ends_K = _WIDTH * np.arange(_BINS)
    mode = ends_K[counts_K.argmax()]
    # Of each bin, the sum of (d - m)^2, by its sums of d - end and (d - end)^2.
    away_K = ends_K - mode
    spread_K = squares_K + 2 * away_K * sums_K + away_K**2 * counts_K
    left = ends_K < mode
    deviations = [
        np.sqrt(spread_K[side].sum() / max(counts_K[side].sum(), 1)) for side in (left, ~left)
    ]
    return float(mode - factor * deviations[0]), float(mode + factor * deviations[1])


def _histogram(unit_Sxz):
    """Returns counts, sums and sums of squares of distances per bin, from its end on the left."""
    samples = len(unit_Sxz)
    rows = max(1, _BLOCK // samples)
    totals_3xK = np.zeros((3, _BINS))
    for start in range(0, samples, rows):
        # Only pairs above the diagonal: each pair once.
        distance_RxS = np.asarray(_distances(unit_Sxz[start : start + rows], unit_Sxz))
        later_RxS = np.arange(samples) > np.arange(start, start + len(distance_RxS))[:, None]
        distance_P = np.maximum(distance_RxS[later_RxS], 0).astype(np.float64)
        bin_P = np.minimum((distance_P / _WIDTH).astype(np.int64), _BINS - 1)
        offset_P = distance_P - _WIDTH * bin_P
        for row, weight_P in enumerate((None, offset_P, offset_P**2)):
            totals_3xK[row] += np.bincount(bin_P, weight_P, _BINS)
    return totals_3xK


@jax.jit
@jax.default_matmul_precision("highest")
def _distances(left_Rxz, right_Sxz):
    return 1 - jnp.asarray(left_Rxz) @ right_Sxz.T
