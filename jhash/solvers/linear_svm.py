"""Linear classifiers of many bits: support vector machines with squared hinges.

Shapes in names: N samples, D features, L bits.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

# Numbers at which the solver stops: of iterations, and of the relative change of the objective.
_ITERATIONS = 200
_CHANGE = 1e-5


def fit(
    x_NxD: np.ndarray, codes_NxL: np.ndarray, cost: float, iterations: int = _ITERATIONS
) -> tuple[np.ndarray, np.ndarray]:
    r"""Fits a linear classifier to each bit by itself.

    It minimizes (||w||^2 + c^2) / 2 + C \sum_i max(0, 1 - b_i (w . x_i + c))^2 by L-BFGS. The
    objective of all bits is a sum of convex functions of each.

    Args:
      x_NxD: Features, float.
      codes_NxL: Bits b, in {-1, +1}.
      cost: C.
      iterations: Max number of iterations.

    Returns:
      (w float32 [D, L], c float32 [L]).

    References:
      LIBLINEAR (Fan et al. 2008), the L2-loss linear SVM, whose bias is regularized as well.
    """
    x_NxE = jnp.pad(jnp.asarray(x_NxD, jnp.float32), ((0, 0), (0, 1)), constant_values=1)
    targets_NxL = jnp.asarray(codes_NxL, jnp.float32)
    shape = x_NxE.shape[1], targets_NxL.shape[1]

    def objective(flat):
        w_ExL = flat.reshape(shape).astype(np.float32)
        value, gradient = _objective(w_ExL, x_NxE, targets_NxL, cost)
        return float(value), np.asarray(gradient, np.float64).reshape(-1)

    found = scipy.optimize.minimize(
        objective,
        np.zeros(shape).reshape(-1),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "ftol": _CHANGE},
    )
    w_ExL = found.x.reshape(shape).astype(np.float32)
    return w_ExL[:-1], w_ExL[-1]


@jax.jit
@jax.value_and_grad
@jax.default_matmul_precision("highest")
def _objective(w_ExL, x_NxE, codes_NxL, cost):
    slack_NxL = jax.nn.relu(1 - codes_NxL * (x_NxE @ w_ExL))
    return jnp.square(w_ExL).sum() / 2 + cost * jnp.square(slack_NxL).sum()
