"""ITQ-CCA: canonical correlations of features and labels, rotated to codes (Gong et al. 2013).

Source: the paper, section 3.4, and willard-yuan/hashing-baseline-for-image-retrieval:cca.m (until
e30f1ca), which is the authors' code. Each canonical direction is scaled by its correlation r;
copies of the code that divide by r are wrong. sgn(0) is -1. The database has the codes that the
fitted function gives.

Labels of C classes, one per sample, have at most C - 1 canonical directions. Further bits come from
the rotation of those few, so that they add little.
"""

import jax
import numpy as np
import scipy.linalg

from jhash import config_fields
from jhash.solvers import label_groups, moments, pca, rotation

SUPERVISED = True
FIELDS = {"ridge": config_fields.positive()}

encode = pca.apply_layer

# Correlations below it are 0 but for rounding, and their directions are arbitrary.
_SMALLEST = 1e-6


def fit(
    features: jax.Array, labels: jax.Array, bits: int, key: jax.Array, *, ridge: float = 1e-4
) -> dict[str, jax.Array]:
    """Fits directions of maximal correlation with the labels, and rotates them toward codes.

    Args:
      features: float [N, z].
      labels: int [N] class ids or 0/1 [N, C].
      bits: Code length.
      key: PRNG key for the random rotation from which `solvers.rotation.rotate` starts.
      ridge: Number added to the diagonals of both covariances, as published, > 0. The features
        have the scale that their model gives them.

    Returns:
      {"kernel": [z, bits], "bias": [bits]} of a linear layer whose outputs are the hash outputs.
    """
    mean_z = moments.mean(features)
    projection_zxL = np.zeros((len(mean_z), bits), np.float32)
    directions_zxD, correlations_D = correlate(features, labels, ridge)
    scaled_zxD = (directions_zxD * correlations_D)[:, :bits]
    projection_zxL[:, : scaled_zxD.shape[1]] = scaled_zxD
    projected_NxL = pca.apply_layer(pca.as_layer(np.float32(mean_z), projection_zxL), features)
    turned, _ = rotation.rotate(projected_NxL, key)
    return pca.as_layer(np.float32(mean_z), projection_zxL @ np.asarray(turned))


def correlate(
    features: jax.Array, labels: jax.Array, ridge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the canonical directions of features, and their correlations with the labels.

    They solve Cxy Cyy^-1 Cyx w = r^2 Cxx w, where `ridge` I has been added to Cxx and Cyy.

    Args:
      features: float [N, z].
      labels: int [N] class ids or 0/1 [N, C].
      ridge: Number added to the diagonals of the covariances.

    Returns:
      (directions float64 [z, D], correlations r float64 [D], falling, in [0, 1]), D = min(z, C).
    """
    y_NxC = np.asarray(label_groups.rows(labels))
    # With whitening factors L of both sides, r are the singular values of Lx^-1 Cxy Ly^-T.
    x_factor = np.linalg.cholesky(_covariance(features, features) + ridge * np.eye(len(features.T)))
    y_factor = np.linalg.cholesky(_covariance(y_NxC, y_NxC) + ridge * np.eye(y_NxC.shape[1]))
    white = scipy.linalg.solve_triangular(x_factor, _covariance(features, y_NxC), lower=True)
    white = scipy.linalg.solve_triangular(y_factor, white.T, lower=True).T
    left, correlations_D, _ = np.linalg.svd(white, full_matrices=False)
    directions_zxD = scipy.linalg.solve_triangular(x_factor.T, left, lower=False)
    # The sign of a singular vector is the solver's choice.
    largest_D = np.take_along_axis(directions_zxD, np.abs(directions_zxD).argmax(0)[None], axis=0)
    directions_zxD = directions_zxD * np.where(largest_D < 0, -1, 1)
    return directions_zxD, np.where(correlations_D < _SMALLEST, 0, np.minimum(correlations_D, 1))


def _covariance(x_NxD, y_NxT):
    samples = len(x_NxD)
    products = moments.product(x_NxD, y_NxT) - samples * np.outer(
        moments.mean(x_NxD), moments.mean(y_NxT)
    )
    return products / max(1, samples - 1)
