"""Relaxed codes whose inner products are the similarity of samples: CNNH's first stage."""

import numpy as np

from jhash.errors import InputError

# Groups whose K x K matrix, 0.8 GB of float64, is still made.
_MAX_GROUPS = 10_000


def factor(
    similarity_KxK: np.ndarray, counts_K: np.ndarray, start_KxL: np.ndarray, *, sweeps: int
) -> np.ndarray:
    """Lowers sum_pq n_p n_q (h_p . h_q - l S_pq)^2 over H in [-1, 1]^(K x L), number by number.

    Each step takes the best value of one number in [-1, 1], all others fixed. The sum is of degree
    four in it, and the zeros of its derivative are computed. So no step raises the sum.

    Args:
      similarity_KxK: S, symmetric, in [-1, 1].
      counts_K: n, the number of samples of each group, 1 or more.
      start_KxL: H to start from.
      sweeps: Number of sweeps over all numbers.

    Returns:
      float64 [K, L].

    Raises:
      InputError: There are more than 10,000 groups.

    References:
      CNNH (Xia et al. 2014), section 3.1, where every sample is a group of its own. Samples with
      equal rows of S have equal codes in a minimum, and are one row here. The paper has a Newton
      step, which may go too far or find no minimum.
    """
    groups, bits = start_KxL.shape
    if groups > _MAX_GROUPS:
        raise InputError(
            f"similarity_KxK: {groups} groups given; allowed: up to {_MAX_GROUPS}, as the "
            "similarity of all groups has to be in memory."
        )
    h_KxL = np.array(start_KxL, np.float64)
    n_K = np.asarray(counts_K, np.float64)
    # l of the sum above is the code length.
    error_KxK = h_KxL @ h_KxL.T - bits * np.asarray(similarity_KxK, np.float64)
    for _ in range(sweeps):
        for p in range(groups):
            for bit in range(bits):
                step = _step(h_KxL[:, bit], error_KxK[p], n_K, p)
                if step:
                    change_K = step * h_KxL[:, bit]
                    error_KxK[p] += change_K
                    error_KxK[:, p] += change_K
                    error_KxK[p, p] += step * step
                    h_KxL[p, bit] += step
    return h_KxL


def _step(column_K, error_K, n_K, p):
    """Returns the step of one number to its best value, 0 if that is where it is."""
    own, weight, error = column_K[p], n_K[p], error_K[p]
    others_K = n_K * column_K
    others_K[p] = 0
    # The change of the sum over n_p: p with all others twice, and p with itself, whose error is
    # (error + 2 own step + step^2).
    change = np.polynomial.Polynomial(
        [
            0.0,
            4 * weight * own * error + 4 * others_K @ error_K,
            weight * (4 * own**2 + 2 * error) + 2 * others_K @ column_K,
            4 * weight * own,
            weight,
        ]
    )
    zeros = change.deriv().roots()
    steps = np.clip([0.0, -1.0 - own, 1.0 - own, *zeros[np.isreal(zeros)].real], -1 - own, 1 - own)
    return float(steps[np.argmin(change(steps))])
