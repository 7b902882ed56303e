"""Codes of a few sampled columns of the similarity, bit by bit: a step of COSDISH and of DDSH."""

import jax
import jax.numpy as jnp

from jhash.solvers import binary_quadratic


@jax.jit
@jax.default_matmul_precision("highest")
def solve(codes_NxL: jax.Array, s_NxM: jax.Array, sampled_M: jax.Array) -> jax.Array:
    """Improves the codes of a few samples, bit by bit, so that products of codes are similarities.

    They are codes B_O of samples O, and ||l S_GO - B_G B_O'||^2 + ||l S_OO - B_O B_O'||^2 is to be
    small. G are all other samples, whose codes stay. A bit of all of O is a binary quadratic
    problem, in which the bits before it are fixed and those after it absent, as in the authors'
    code. So a bit never makes its own problem worse, but the sum over all bits can rise.

    Args:
      codes_NxL: Codes B of all samples, in {-1, +1}; those of O are where the bits start from.
      s_NxM: S, the similarity of all samples with those of O, any real numbers.
      sampled_M: Indices of O.

    Returns:
      float32 [M, L] in {-1, +1}.

    References:
      COSDISH (Kang, Li and Zhou 2016), algorithm 1; DDSH (Jiang, Cui and Li 2018), algorithm 1.
    """
    codes_NxL = jnp.asarray(codes_NxL, jnp.float32)
    bits = codes_NxL.shape[1]
    others_Nx1 = jnp.ones((len(codes_NxL), 1)).at[sampled_M].set(0)

    def column(k, carry):
        sampled_MxL, residual_NxM = carry
        # Rows of G carry the first term, those of O the second.
        linear_M = (residual_NxM * others_Nx1).T @ codes_NxL[:, k]
        bit_M = binary_quadratic.ascend(sampled_MxL[:, k], residual_NxM[sampled_M], linear_M)
        both_N = codes_NxL[:, k].at[sampled_M].set(bit_M)
        return sampled_MxL.at[:, k].set(bit_M), residual_NxM - jnp.outer(both_N, bit_M)

    start = codes_NxL[sampled_M], bits * s_NxM
    return jax.lax.fori_loop(0, bits, column, start)[0]
