"""The binary quadratic problem of one bit of a few samples, as in COSDISH and DDSH."""

import jax
import jax.numpy as jnp

# Bound on the number of sweeps. Far fewer are needed; in float32 a tie could flip for ever.
_SWEEPS = 100


@jax.jit
@jax.default_matmul_precision("highest")
def ascend(bits_M: jax.Array, quadratic_MxM: jax.Array, linear_M: jax.Array) -> jax.Array:
    """Raises b'Q b + p'b over bits b in {-1, +1}^M, one bit at a time, to a local maximum.

    A bit flips if that raises the objective, so no step lowers it. The bits are gone through in
    turn until none flips.

    Args:
      bits_M: Bits from which to start, in {-1, +1}.
      quadratic_MxM: Q, float, symmetric. Its diagonal does not matter, as b_i^2 = 1.
      linear_M: p, float.

    Returns:
      float32 [M] in {-1, +1}.

    References:
      The authors of COSDISH (Kang, Li and Zhou 2016) and DDSH (Jiang, Cui and Li 2018) choose the
      half of the samples nearest to one of them, which is a 2-approximation and gives every bit
      as many +1 as -1. This ascent has no such bound, but never loses what is there already.
      sgn(0) leaves a bit as it is.
    """
    off_MxM = 2 * (quadratic_MxM - jnp.diag(jnp.diag(quadratic_MxM)))

    def flip(i, bits_M):
        pull = off_MxM[i] @ bits_M + linear_M[i]
        return bits_M.at[i].set(jnp.where(pull == 0, bits_M[i], jnp.sign(pull)))

    def sweep(carry):
        count, bits_M, _ = carry
        new_M = jax.lax.fori_loop(0, len(bits_M), flip, bits_M)
        return count + 1, new_M, jnp.any(new_M != bits_M)

    start = jnp.int32(0), jnp.asarray(bits_M, jnp.float32), jnp.bool_(True)
    go_on = lambda carry: carry[2] & (carry[0] < _SWEEPS)  # noqa: E731
    return jax.lax.while_loop(go_on, sweep, start)[1]
