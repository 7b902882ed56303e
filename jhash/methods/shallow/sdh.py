"""SDH: codes that classify, and a kernel function that gives them (Shen et al. 2015).

Over codes B, a classifier W and a hash function P of Gaussian kernels phi, SDH minimizes

    ||Y - B W||^2 + lambda ||W||^2 + nu (||B - phi(X) P||^2 + lambda_F ||P||^2).

Source: the paper, eqs. 5 to 10, and bd622/DiscretHashing:SDH.m, demo_SDH.m, the authors' code, with
its L2 loss, sums over samples and constants. The B-step goes on from the codes of the last one, as
in that code since it no longer starts from zeros. In the B-step a sgn(0) leaves the bit as it is;
in the hash function it is -1. The database has the codes that phi(X) P gives.

The authors' width 0.4 is for their features of length 1. Here it is a multiple of the root mean
square distance to the anchors, so that it fits features of any scale: 0.7, which of 0.4, 0.7, 1 and
1.5 was best for held-out training images of the embedded data at 16 and 48 bits. With nu = 1e-5 the
codes B are nearly a function of the labels.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash import config_fields
from jhash.solvers import anchor_kernel, class_codes, dcc, label_groups

SUPERVISED = True
FIELDS = {
    # The max is that of the samples from which `jhash.methods.fitting` takes shapes.
    "anchors": config_fields.integer(1, 2048),
    "width": config_fields.positive(1e6),
    "nu": config_fields.number(),
    "start": config_fields.choice("random", "far_apart"),
}

encode = anchor_kernel.apply_layer

# The paper's constants: lambda, lambda_F, and the numbers of alternations and of sweeps in each.
_CLASSIFIER_RIDGE = 1.0
_FUNCTION_RIDGE = 1e-2
_ALTERNATIONS = 5
_SWEEPS = 10


def fit(
    features: jax.Array,
    labels: jax.Array,
    bits: int,
    key: jax.Array,
    *,
    anchors: int = 1000,
    width: float = 0.7,
    nu: float = 1e-5,
    start: str = "random",
) -> dict[str, jax.Array]:
    """Fits codes, a classifier of them, and the hash function, in turn.

    Args:
      features: float [N, z].
      labels: int [N] class ids or 0/1 [N, C].
      bits: Code length.
      key: PRNG key of the anchors and the first codes.
      anchors: Number of anchors, of which there are no more than samples.
      width: Width of the kernel, as for `solvers.anchor_kernel.draw`.
      nu: Weight of the distance between codes and hash outputs, >= 0.
      start: First codes: "random" as published, or "far_apart", which gives every class a code far
        from the others, and a sample with several labels the majority of their codes' bits.

    Returns:
      Parameters of `solvers.anchor_kernel.apply_layer`.

    Raises:
      InputError: There are no samples, features are too large for float32, or there are too few
        bits for codes that are far apart.
    """
    y_NxC = label_groups.rows(labels)
    kernel_key, code_key, tie_key = jax.random.split(key, 3)
    kernel = anchor_kernel.draw(features, anchors, width, kernel_key)
    phi_NxM = jnp.pad(anchor_kernel.apply(kernel, features), ((0, 0), (0, 1)), constant_values=1)
    if start == "random":
        codes_NxL = jax.random.rademacher(code_key, (len(y_NxC), bits), jnp.float32)
    else:
        codes_CxL = class_codes.make("far_apart", code_key, y_NxC.shape[1], bits)
        tie_L = jax.random.rademacher(tie_key, (bits,), jnp.float32)
        codes_NxL = class_codes.of_labels(codes_CxL, jnp.asarray(labels), tie_L)
    _, p_MxL = alternate(phi_NxM, y_NxC, codes_NxL, nu=nu)
    return anchor_kernel.as_layer(kernel, p_MxL[:-1], p_MxL[-1])


def alternate(
    phi_NxM: jax.Array, y_NxC: jax.Array, codes_NxL: jax.Array, *, nu: float
) -> tuple[jax.Array, np.ndarray]:
    """Minimizes the objective over W, P and B in turn, each in closed form or bit by bit.

    Args:
      phi_NxM: Kernels of the samples and a column of ones.
      y_NxC: Labels, float 0/1.
      codes_NxL: Codes from which to start, in {-1, +1}.
      nu: Weight of the distance between codes and hash outputs.

    Returns:
      (codes B float32 [N, L], hash function P float32 [M, L], the best for these codes).
    """
    function = dcc.Ridge(phi_NxM, _FUNCTION_RIDGE)
    for _ in range(_ALTERNATIONS):
        w_LxC = jnp.asarray(dcc.ridge(codes_NxL, y_NxC, _CLASSIFIER_RIDGE))
        p_MxL = function.solve(codes_NxL)
        linear_NxL, gram_LxL = _code_step(phi_NxM, y_NxC, w_LxC, p_MxL, nu)
        codes_NxL = dcc.coordinate_descent(codes_NxL, linear_NxL, gram_LxL, sweeps=_SWEEPS)
    return codes_NxL, function.solve(codes_NxL)


@jax.jit
@jax.default_matmul_precision("highest")
def _code_step(phi_NxM, y_NxC, w_LxC, p_MxL, nu):
    """Returns Q and M of `dcc.coordinate_descent`."""
    return y_NxC @ w_LxC.T + nu * phi_NxM @ p_MxL, w_LxC @ w_LxC.T
