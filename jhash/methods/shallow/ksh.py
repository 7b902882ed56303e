"""KSH: bits of Gaussian kernels, fitted one after another to pairs (Liu et al. 2012).

Bit k of a sample is y_k = sgn(phi(x) a_k), phi the kernels at 300 anchors minus their mean. KSH
minimizes ||sum_k y_k y_k' - l S||_F^2 over 2,000 samples with S_ij = +1 for similar pairs and -1
for others. With R = l S - (sum of y y' of the bits before), bit k maximizes y' R y.

Source: the paper, section 3.2, and ColumbiaDVMM/Supervised-Hashing-with-Kernels:KSH_demo.m,
OptProjectionFast.m, the authors' code, with its constants. R is of hard bits, as there. Sums over
pairs; sgn(0) is -1. The database has the codes that the fitted function gives. R is never stored: S
depends on groups of equal labels, and the rest has rank k. A ridge of 1e-6 of the mean diagonal of
K'K keeps the eigenproblem definite.

Shapes in names: S samples, M anchors, G groups of equal labels, L bits.
"""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from jhash import config_fields
from jhash.solvers import anchor_kernel, draws, label_groups, moments

SUPERVISED = True
FIELDS = {
    # The max is that of the samples from which `jhash.methods.fitting` takes shapes.
    "anchors": config_fields.integer(1, 2048),
    "samples": config_fields.integer(1, 10**5),
}
QUICK = {"samples": 1}

encode = anchor_kernel.apply_layer

# The published constants: max numbers of steps and of halvings of a step, and the change of the
# objective per sample at which it stops.
_STEPS = 500
_HALVINGS = 51
_CHANGE = 1e-2
_RIDGE = 1e-6


def fit(
    features: jax.Array,
    labels: jax.Array,
    bits: int,
    key: jax.Array,
    *,
    anchors: int = 300,
    samples: int = 2000,
) -> dict[str, jax.Array]:
    """Fits the bits to all pairs of some samples.

    Args:
      features: float [N, z].
      labels: int [N] class ids or 0/1 [N, C]. Samples are similar if they share a label.
      bits: Code length.
      key: PRNG key of the anchors and the samples.
      anchors: Number of anchors, of which there are no more than samples.
      samples: Number of samples whose pairs are used.

    Returns:
      Parameters of `solvers.anchor_kernel.apply_layer`.

    Raises:
      InputError: There are no samples, or features are too large for float32.
    """
    kernel = anchor_kernel.draw(features, anchors, 1.0, key)
    phi_NxM = np.asarray(anchor_kernel.apply(kernel, features))
    mean_M = moments.mean(phi_NxM)
    # Numbered, as the anchors are drawn with the key as it is.
    chosen_S = draws.places(key, samples, len(phi_NxM), 1)
    weights_MxL = fit_bits(phi_NxM[chosen_S] - mean_M, np.asarray(labels)[chosen_S], bits)
    return anchor_kernel.as_layer(kernel, weights_MxL, -mean_M @ weights_MxL)


def fit_bits(k_SxM: np.ndarray, labels: np.ndarray, bits: int) -> np.ndarray:
    """Fits the weights of one bit after another to all pairs of the samples.

    A bit starts from the best relaxed weights, without sgn and with ||K a||^2 = S, and then
    ascends a smooth form of y' R y. The ascent is kept if it raised y' R y itself.

    Args:
      k_SxM: Kernels of the samples minus their means, float64.
      labels: int [S] class ids or 0/1 [S, C].
      bits: Code length.

    Returns:
      float64 [M, L].
    """
    classes = 0 if labels.ndim == 2 else int(labels.max()) + 1
    rows_GxC, group_S = label_groups.group_by_label(labels, classes)
    target_GxG = bits * np.where(rows_GxC @ rows_GxC.T > 0, 1.0, -1.0)
    k_sums_GxM = np.zeros((len(target_GxG), k_SxM.shape[1]))
    np.add.at(k_sums_GxM, group_S, k_SxM)
    # K'RK, from which each bit takes a matrix of rank 1.
    goal_MxM = k_sums_GxM.T @ target_GxG @ k_sums_GxM
    gram_MxM = k_SxM.T @ k_SxM
    # If all samples are alike, the kernels are 0.
    ridge = _RIDGE * np.trace(gram_MxM) / len(gram_MxM) or 1.0
    factor_MxM = np.linalg.cholesky(gram_MxM + ridge * np.eye(len(gram_MxM)))
    weights_MxL, bits_SxL = np.zeros((k_SxM.shape[1], bits)), np.zeros((len(k_SxM), bits))

    def reached(bit_S):
        """Computes y' R y."""
        sums_G = np.bincount(group_S, bit_S, len(target_GxG))
        return sums_G @ target_GxG @ sums_G - np.square(bits_SxL.T @ bit_S).sum()

    for k in range(bits):
        relaxed_M = _relaxed(goal_MxM, factor_MxM)
        square = relaxed_M @ gram_MxM @ relaxed_M
        relaxed_M *= np.sqrt(len(k_SxM) / square) if square > 0 else 1.0
        refined_M = _refined(k_SxM, target_GxG, group_S, bits_SxL, relaxed_M)
        candidates = [(weights_M, k_SxM @ weights_M) for weights_M in (relaxed_M, refined_M)]
        found = [(weights_M, np.where(y_S > 0, 1.0, -1.0)) for weights_M, y_S in candidates]
        weights_MxL[:, k], bits_SxL[:, k] = max(found, key=lambda pair: reached(pair[1]))
        change_M = k_SxM.T @ bits_SxL[:, k]
        goal_MxM -= np.outer(change_M, change_M)
    return weights_MxL


def _relaxed(goal_MxM, factor_MxM):
    """Returns an a that maximizes a' K'RK a / ||F' a||^2, F the Cholesky factor of K'K."""
    half_MxM = scipy.linalg.solve_triangular(factor_MxM, goal_MxM, lower=True)
    white_MxM = scipy.linalg.solve_triangular(factor_MxM, half_MxM.T, lower=True)
    last = len(white_MxM) - 1
    vector_M = scipy.linalg.eigh(white_MxM, subset_by_index=[last, last])[1][:, 0]
    vector_M *= np.where(vector_M[np.abs(vector_M).argmax()] < 0, -1, 1)
    return scipy.linalg.solve_triangular(factor_MxM.T, vector_M, lower=False)


def _refined(k_SxM, target_GxG, group_S, bits_SxL, start_M):
    """Lowers -p' R p, p = 2 sigma(K a) - 1, by Nesterov's method with backtracking."""
    arrays = (k_SxM, target_GxG, bits_SxL, start_M)
    return np.asarray(_descend(group_S, *map(jnp.float32, arrays)), np.float64)


@jax.jit
@jax.default_matmul_precision("highest")
def _descend(group_S, k_SxM, target_GxG, bits_SxL, start_M):
    def evaluate(outputs_S):
        """Returns -p' R p, and its gradient by the outputs."""
        p_S = jnp.tanh(outputs_S / 2)
        sums_G = jax.ops.segment_sum(p_S, group_S, len(target_GxG))
        product_S = (target_GxG @ sums_G)[group_S] - bits_SxL @ (bits_SxL.T @ p_S)
        return -p_S @ product_S, -product_S * (1 - p_S**2)

    def step(carry):
        count, before, now, value, rate, delta_before, delta, _ = carry
        momentum = (delta_before - 1) / delta
        # Weights a and outputs K a of the point from which the gradient is taken.
        probe = jax.tree.map(lambda x, y: x + momentum * (x - y), now, before)
        probed, gradient_S = evaluate(probe[1])
        gradient_M = gradient_S @ k_SxM
        direction = gradient_M, k_SxM @ gradient_M
        square = gradient_M @ gradient_M

        def halve(tried):
            return tried[0] + 1, tried[1] / 2, evaluate(probe[1] - tried[1] / 2 * direction[1])[0]

        def too_far(tried):
            # The quadratic bound at the next point, whose distance is `rate` times the gradient.
            return (tried[2] > probed - tried[1] * square / 2) & (tried[0] < _HALVINGS)

        first = jnp.int32(0), 2 * rate, jnp.inf
        _, rate, next_value = jax.lax.while_loop(too_far, halve, first)
        failed = next_value > probed - rate * square / 2
        after = jax.tree.map(
            lambda x, y, z: jnp.where(failed, z, x - rate * y), probe, direction, now
        )
        change = jnp.abs(next_value - value)
        ends = failed | (change <= _CHANGE * len(k_SxM))
        longer = (1 + jnp.sqrt(1 + 4 * delta**2)) / 2
        return count + 1, now, after, next_value, rate, delta, longer, ends

    start = start_M, k_SxM @ start_M
    one, zero = jnp.float32(1), jnp.float32(0)
    carry = jnp.int32(0), start, start, evaluate(start[1])[0], one, zero, one, jnp.bool_(False)
    go_on = lambda carry: ~carry[-1] & (carry[0] < _STEPS)  # noqa: E731
    return jax.lax.while_loop(go_on, step, carry)[2][0]
