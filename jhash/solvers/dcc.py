"""Codes by discrete cyclic coordinate descent (DCC), and the ridge regressions that go with it.

SDH, DSDH and ADSH have a step of the same form: over codes B, minimize

    tr(B M B') - 2 tr(B Q')

with a symmetric M [L, L] and Q [N, L]. SDH: M = W W', Q = Y W' + nu phi(X) P. DSDH: M = W W',
Q = Y W' + (eta / mu) U. ADSH: M = U'U, Q = l S'U + gamma U_bar.

Shapes in names: N samples, D columns of regressors, T columns of targets, L bits.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from jhash.errors import InputError
from jhash.solvers import moments


@functools.partial(jax.jit, static_argnames="sweeps")
@jax.default_matmul_precision("highest")
def coordinate_descent(
    codes_NxL: jax.Array, linear_NxL: jax.Array, gram_LxL: jax.Array, *, sweeps: int
) -> jax.Array:
    """Lowers tr(B M B') - 2 tr(B Q') over codes B, one column (bit) at a time.

    With all other columns fixed, the best column is b_k = sgn(q_k - sum_{j != k} b_j M_jk). No step
    raises the objective.

    Args:
      codes_NxL: Codes B from which to start, in {-1, +1}.
      linear_NxL: Q, float.
      gram_LxL: M, float, symmetric.
      sweeps: Max number of sweeps over all columns. A sweep that changes nothing is the last.

    Returns:
      float32 [N, L] in {-1, +1}.

    References:
      SDH (Shen et al. 2015), eq. 10. The paper leaves sgn(0) open. Either bit is then the best, and
      the bit stays as it is.
    """
    linear_LxN = jnp.asarray(linear_NxL, jnp.float32).T
    others_LxL = gram_LxL - jnp.diag(jnp.diag(gram_LxL))

    def column(k, codes_LxN):
        pull_N = linear_LxN[k] - others_LxL[k] @ codes_LxN
        return codes_LxN.at[k].set(jnp.where(pull_N == 0, codes_LxN[k], jnp.sign(pull_N)))

    def sweep(carry):
        count, codes_LxN, _ = carry
        new_LxN = jax.lax.fori_loop(0, len(others_LxL), column, codes_LxN)
        return count + 1, new_LxN, jnp.any(new_LxN != codes_LxN)

    start = jnp.int32(0), jnp.asarray(codes_NxL, jnp.float32).T, jnp.bool_(True)
    go_on = lambda carry: carry[2] & (carry[0] < sweeps)  # noqa: E731
    return jax.lax.while_loop(go_on, sweep, start)[1].T


class Ridge:
    """Ridge regressions of several targets on the same samples, whose matrix is factored once."""

    def __init__(self, x_NxD: np.ndarray, l2: float) -> None:
        """Computes the Cholesky factor of x'x + l2 I.

        Args:
          x_NxD: Regressors, real. There is no intercept; a column of ones makes one.
          l2: Weight of the squares of the coefficients, > 0.

        Raises:
          InputError: `l2` is not above 0, or regressors are NaN or infinite.
        """
        if not l2 > 0:
            raise InputError(f"l2: {l2} given; allowed: numbers above 0.")
        self._x_NxD = np.asarray(x_NxD)
        gram_DxD = moments.product(self._x_NxD, self._x_NxD)
        if not np.isfinite(gram_DxD).all():
            raise InputError("x_NxD: NaN or infinity given; allowed: finite numbers.")
        gram_DxD += l2 * np.eye(len(gram_DxD))
        self._factor = scipy.linalg.cho_factor(gram_DxD, overwrite_a=True)

    def solve(self, y_NxT: np.ndarray) -> np.ndarray:
        """Computes (x'x + l2 I)^-1 x'y, float32 [D, T], in float64."""
        products_DxT = moments.product(self._x_NxD, np.asarray(y_NxT))
        return scipy.linalg.cho_solve(self._factor, products_DxT).astype(np.float32)


def ridge(x_NxD: np.ndarray, y_NxT: np.ndarray, l2: float) -> np.ndarray:
    """Minimizes ||y - x w||_F^2 + l2 ||w||_F^2 over w, in float64.

    Args:
      x_NxD: Regressors, real.
      y_NxT: Targets, real.
      l2: Weight of the squares of the coefficients, > 0.

    Returns:
      w, float32 [D, T].

    Raises:
      InputError: As for `Ridge`.
    """
    return Ridge(x_NxD, l2).solve(y_NxT)
