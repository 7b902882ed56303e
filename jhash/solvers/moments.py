"""Sums over samples in float64, a block of samples at a time.

A sum over 60,000 samples in float32 has an error of the size of the small ridges that methods add
to it. NumPy's float64 has none that matters, and a copy of all features in float64 is not needed.

Shapes in names: N samples, D and T columns.
"""

from collections.abc import Iterator

import numpy as np

# Number of samples that are in float64 at a time: 84 MB with 1,280 features.
_BLOCK = 8192


def product(x_NxD: np.ndarray, y_NxT: np.ndarray) -> np.ndarray:
    """Computes x'y, float64 [D, T], of real arrays that share their rows."""
    # An operation of NumPy on an array of JAX would be JAX's, in float32.
    same = y_NxT is x_NxD
    x_NxD, y_NxT = np.asarray(x_NxD), np.asarray(y_NxT)
    total_DxT = np.zeros((x_NxD.shape[1], y_NxT.shape[1]))
    for rows in _blocks(len(x_NxD)):
        x_BxD = np.asarray(x_NxD[rows], np.float64)
        # Of an array with itself, NumPy computes one half and mirrors it.
        total_DxT += x_BxD.T @ (x_BxD if same else np.asarray(y_NxT[rows], np.float64))
    return total_DxT


def mean(x_NxD: np.ndarray) -> np.ndarray:
    """Computes the mean of every column, float64 [D]."""
    return np.asarray(x_NxD).mean(0, dtype=np.float64)


def deviation(x_NxD: np.ndarray) -> np.ndarray:
    """Computes the standard deviation of every column, float64 [D], with N as denominator."""
    x_NxD, mean_D = np.asarray(x_NxD), mean(x_NxD)
    squares_D = np.zeros_like(mean_D)
    for rows in _blocks(len(x_NxD)):
        squares_D += np.square(np.asarray(x_NxD[rows], np.float64) - mean_D).sum(0)
    return np.sqrt(squares_D / len(x_NxD))


def standardize(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shifts and scales features to mean 0 and deviation 1.

    Args:
      features: float [N, z].

    Returns:
      (standardized features float32 [N, z], mean float64 [z], scale float64 [z]). A feature that
      never varies becomes 0, with a scale of 1.
    """
    mean_z, deviation_z = mean(features), deviation(features)
    # In float32, features that are alike may differ from their mean by rounding.
    varies_z = deviation_z > np.abs(mean_z) * np.finfo(np.float32).eps
    scale_z = np.where(varies_z, deviation_z, 1)
    centered_Nxz = np.asarray(features, np.float32) - mean_z.astype(np.float32)
    centered_Nxz *= (varies_z / scale_z).astype(np.float32)
    return centered_Nxz, mean_z, scale_z


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, _BLOCK):
        yield slice(start, start + _BLOCK)
