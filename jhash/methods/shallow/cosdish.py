"""COSDISH: discrete codes from sampled columns of the similarity (Kang, Li and Zhou 2016).

Ten times, l random samples O are drawn. With G all others and S the similarity of samples, COSDISH
looks for small values of

    ||l S_GO - B_G B_O'||^2 + ||l S_OO - B_O B_O'||^2

in three alternations: B_O bit by bit, a binary quadratic problem of l bits each in which the bits
before it are fixed and those after it absent, and B_G = sgn(S_GO B_O), where 0 keeps the old bit.
Neither step is the minimum of this sum, which can rise, as in the paper.
The hash function is a ridge regression of the codes on standardized features, with lambda = 1. (The
paper's other one has boosted trees.) Sums over pairs.

Source: the paper, and Eddie-Wang1120/single-modal-supervised-hashing-baseline-for-image-retrieval:
SSHBIR Toolkit/COSDISH, which is the first author's code. That copy sets dissimilar pairs to +r,
r = (number of similar) / (number of dissimilar pairs), with which nearly all codes are alike. Here
they are -r, as in the same authors' DDSH, so that the sum of S is 0. The quadratic problem is
solved by ascent, not by their clustering; see `solvers.binary_quadratic`.

sgn(0) of the hash function is -1. The database has the codes that the fitted function gives.

Shapes in names: N samples, M sampled columns, L bits, C classes.
"""

import jax
import jax.numpy as jnp

from jhash.solvers import dcc, draws, label_groups, moments, pca, sampled_columns

SUPERVISED = True

encode = pca.apply_layer

# The published constants.
_DRAWS = 10
_ALTERNATIONS = 3
_RIDGE = 1.0
# Sums of similarities below it are 0 but for rounding.
_ZERO = 1e-5


def fit(features: jax.Array, labels: jax.Array, bits: int, key: jax.Array) -> dict[str, jax.Array]:
    """Fits codes to the similarity of samples, and a linear function to the codes.

    Args:
      features: float [N, z].
      labels: int [N] class ids or 0/1 [N, C]. Samples are similar if they share a label.
      bits: Code length.
      key: PRNG key of the first codes and the draws.

    Returns:
      {"kernel": [z, bits], "bias": [bits]} of a linear layer whose outputs are the hash outputs.
    """
    y_NxC = label_groups.rows(labels)
    codes_NxL = jax.random.rademacher(key, (len(y_NxC), bits), jnp.float32)
    for draw in range(_DRAWS):
        codes_NxL = improve(codes_NxL, y_NxC, draws.places(key, bits, len(y_NxC), draw))
    x_Nxz, mean_z, scale_z = moments.standardize(features)
    projection_zxL = dcc.ridge(x_Nxz, codes_NxL, _RIDGE) / scale_z[:, None]
    return pca.as_layer(jnp.float32(mean_z), jnp.float32(projection_zxL))


@jax.jit
@jax.default_matmul_precision("highest")
def improve(codes_NxL: jax.Array, y_NxC: jax.Array, sampled_M: jax.Array) -> jax.Array:
    """Lowers the objective of one draw, in three alternations.

    Args:
      codes_NxL: Codes from which to start, in {-1, +1}.
      y_NxC: Labels, float 0/1.
      sampled_M: Indices of the sampled columns.

    Returns:
      float32 [N, L] in {-1, +1}.
    """
    similar_NxM = y_NxC @ y_NxC[sampled_M].T > 0
    count = similar_NxM.sum(dtype=jnp.float32)
    ratio = count / jnp.maximum(similar_NxM.size - count, 1)
    s_NxM = jnp.where(similar_NxM, 1.0, -ratio)

    def alternate(_, codes_NxL):
        sampled_MxL = sampled_columns.solve(codes_NxL, s_NxM, sampled_M)
        pull_NxL = s_NxM @ sampled_MxL
        codes_NxL = jnp.where(jnp.abs(pull_NxL) < _ZERO, codes_NxL, jnp.sign(pull_NxL))
        return codes_NxL.at[sampled_M].set(sampled_MxL)

    return jax.lax.fori_loop(0, _ALTERNATIONS, alternate, codes_NxL)
