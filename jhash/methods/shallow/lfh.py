"""LFH: latent factors that explain the similarity of pairs, then signs (Zhang et al. 2014).

Over real U [N, l], with theta_ij = u_i . u_j / 2, LFH maximizes

    sum_ij [s_ij theta_ij - log(1 + exp theta_ij)] - ||U||^2 / (2 beta),

s = 1 for similar pairs and 0 for others. Each of 50 iterations draws l samples O and moves all
other rows by U <- U - G H^-1, G = (S_O - sigma(theta_O)) U_O - U / beta, H = -U_O'U_O / 8 - I /
beta. As sigma' <= 1/4, H is a bound of the second derivative. So the sum of the terms with O, each
pair in both orders, never falls.

Source: the paper (its linear-time version), and Eddie-Wang1120/single-modal-supervised-hashing-
baseline-for-image-retrieval:SSHBIR Toolkit/LFH, whose start (principal components) and constants
these are: beta = 30 / l, and a hash function that is the ridge regression of U on standardized
features with lambda = N / z. (TreezzZ/LFH_PyTorch starts from a Gaussian, moves O, too, has beta 30
and regresses sgn(U).) Sums over pairs; sgn(0) is -1. The database has the codes that the fitted
function gives.

Shapes in names: N samples, M sampled columns, L bits, C classes.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash import config_fields
from jhash.solvers import dcc, draws, label_groups, moments, pca

SUPERVISED = True
FIELDS = {"beta": config_fields.positive(1e6)}

encode = pca.apply_layer

# The published number of draws.
_DRAWS = 50


def fit(
    features: jax.Array, labels: jax.Array, bits: int, key: jax.Array, *, beta: float = 30.0
) -> dict[str, jax.Array]:
    """Fits latent factors to the similarity of samples, and a linear function to the factors.

    Args:
      features: float [N, z].
      labels: int [N] class ids or 0/1 [N, C]. Samples are similar if they share a label.
      bits: Code length.
      key: PRNG key of the draws.
      beta: `bits` times the variance of the factors' prior, > 0.

    Returns:
      {"kernel": [z, bits], "bias": [bits]} of a linear layer whose outputs are the hash outputs.
    """
    y_NxC = label_groups.rows(labels)
    x_Nxz, mean_z, scale_z = moments.standardize(features)
    u_NxL = _start(x_Nxz, bits, key)
    for draw in range(_DRAWS):
        u_NxL = improve(u_NxL, y_NxC, draws.places(key, bits, len(y_NxC), draw), beta / bits)
    weights_zxL = dcc.ridge(x_Nxz, u_NxL, len(x_Nxz) / x_Nxz.shape[1]) / scale_z[:, None]
    return pca.as_layer(jnp.float32(mean_z), jnp.float32(weights_zxL))


def _start(x_Nxz, bits, key):
    """Returns principal components of the samples, and Gaussian columns if they are too few."""
    vectors_zxz = np.linalg.eigh(moments.product(x_Nxz, x_Nxz))[1][:, ::-1][:, :bits]
    largest_z = np.take_along_axis(vectors_zxz, np.abs(vectors_zxz).argmax(0)[None], axis=0)
    vectors_zxz = vectors_zxz * np.where(largest_z < 0, -1, 1)
    components = x_Nxz @ vectors_zxz.astype(np.float32)
    shape = len(x_Nxz), bits - components.shape[1]
    return np.column_stack([components, draws.generator(key, _DRAWS).standard_normal(shape)])


@jax.jit
@jax.default_matmul_precision("highest")
def improve(
    u_NxL: jax.Array, y_NxC: jax.Array, sampled_M: jax.Array, variance: jax.Array
) -> jax.Array:
    """Moves all rows but the sampled ones toward the max of the terms with these.

    Args:
      u_NxL: Latent factors U, float.
      y_NxC: Labels, float 0/1.
      sampled_M: Indices of the sampled columns.
      variance: beta of the formula, > 0.

    Returns:
      float32 [N, L].
    """
    sampled_MxL = u_NxL[sampled_M]
    similar_NxM = (y_NxC @ y_NxC[sampled_M].T > 0).astype(jnp.float32)
    errors_NxM = similar_NxM - jax.nn.sigmoid(u_NxL @ sampled_MxL.T / 2)
    gradient_NxL = errors_NxM @ sampled_MxL - u_NxL / variance
    curvature_LxL = sampled_MxL.T @ sampled_MxL / 8 + jnp.eye(u_NxL.shape[1]) / variance
    moved_NxL = u_NxL + jnp.linalg.solve(curvature_LxL, gradient_NxL.T).T
    return moved_NxL.at[sampled_M].set(sampled_MxL)
