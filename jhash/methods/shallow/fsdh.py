"""FSDH: SDH with the regression turned round, all steps in closed form (Gui et al. 2018).

Over codes B, a regression W of codes on labels and a hash function P of Gaussian kernels phi, FSDH
minimizes

    ||B - Y W||^2 + lambda ||W||^2 + nu (||B - phi(X) P||^2 + lambda_F ||P||^2).

Source: the paper (also arXiv:1904.03556), and Eddie-Wang1120/single-modal-supervised-hashing-
baseline-for-image-retrieval:SSHBIR Toolkit/FSDH, whose order of steps and constants these are; the
constants are SDH's. Sums over samples; sgn(0) is -1. The database has the codes that phi(X) P
gives. The width is relative to the data, as for SDH. (Koutaki's FSDH is another method.)

With one label per sample, W is about the mean of the first codes of each class. After one step B is
one random code per class, and stays it. With few bits two classes may share a code; with few
classes a bit may be the same for all (one of 500 bits with ten classes). So results depend on the
seed: take several.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash import config_fields
from jhash.solvers import anchor_kernel, dcc, label_groups

SUPERVISED = True
FIELDS = {
    # The max is that of the samples from which `jhash.methods.fitting` takes shapes.
    "anchors": config_fields.integer(1, 2048),
    "width": config_fields.positive(1e6),
    "nu": config_fields.number(),
}

encode = anchor_kernel.apply_layer

# The published constants: lambda, lambda_F, and the number of alternations.
_LABEL_RIDGE = 1.0
_FUNCTION_RIDGE = 1e-2
_ALTERNATIONS = 5


def fit(
    features: jax.Array,
    labels: jax.Array,
    bits: int,
    key: jax.Array,
    *,
    anchors: int = 1000,
    width: float = 0.7,
    nu: float = 1e-5,
) -> dict[str, jax.Array]:
    """Fits codes, their regression on labels, and the hash function, in turn.

    Args:
      features: float [N, z].
      labels: int [N] class ids or 0/1 [N, C].
      bits: Code length.
      key: PRNG key of the anchors and the first codes, which are random.
      anchors: Number of anchors, of which there are no more than samples.
      width: Width of the kernel, as for `solvers.anchor_kernel.draw`.
      nu: Weight of the distance between codes and hash outputs, >= 0.

    Returns:
      Parameters of `solvers.anchor_kernel.apply_layer`.

    Raises:
      InputError: There are no samples, or features are too large for float32.
    """
    y_NxC = label_groups.rows(labels)
    kernel_key, code_key = jax.random.split(key)
    kernel = anchor_kernel.draw(features, anchors, width, kernel_key)
    phi_NxM = jnp.pad(anchor_kernel.apply(kernel, features), ((0, 0), (0, 1)), constant_values=1)
    codes_NxL = jax.random.rademacher(code_key, (len(y_NxC), bits), jnp.float32)
    _, p_MxL = alternate(phi_NxM, y_NxC, codes_NxL, nu=nu)
    return anchor_kernel.as_layer(kernel, p_MxL[:-1], p_MxL[-1])


def alternate(
    phi_NxM: jax.Array, y_NxC: jax.Array, codes_NxL: jax.Array, *, nu: float
) -> tuple[jax.Array, np.ndarray]:
    """Minimizes the objective over W, P and B in turn, each in closed form.

    Args:
      phi_NxM: Kernels of the samples and a column of ones.
      y_NxC: Labels, float 0/1.
      codes_NxL: Codes from which to start, in {-1, +1}.
      nu: Weight of the distance between codes and hash outputs.

    Returns:
      (codes B float32 [N, L], hash function P float32 [M, L], the best for these codes).
    """
    function, regression = dcc.Ridge(phi_NxM, _FUNCTION_RIDGE), dcc.Ridge(y_NxC, _LABEL_RIDGE)
    for _ in range(_ALTERNATIONS):
        w_CxL, p_MxL = regression.solve(codes_NxL), function.solve(codes_NxL)
        codes_NxL = _code_step(phi_NxM, y_NxC, w_CxL, p_MxL, nu)
    return codes_NxL, function.solve(codes_NxL)


@jax.jit
@jax.default_matmul_precision("highest")
def _code_step(phi_NxM, y_NxC, w_CxL, p_MxL, nu):
    return jnp.where(y_NxC @ w_CxL + nu * phi_NxM @ p_MxL > 0, 1.0, -1.0)
