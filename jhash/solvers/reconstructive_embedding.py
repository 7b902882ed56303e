"""Binary reconstructive embeddings: bits whose Hamming distances are given distances.

Bit k of sample x is 1 if sum_q W_qk <x_kq, x> > 0, where the x_kq are a few samples, other ones
for each bit. Over pairs of samples, BRE lowers (1/2) sum (t_ij - d_ij)^2, t the target and d the
Hamming distance divided by the number of bits, one weight at a time.

As a weight grows, each sample's bit flips at most once, at its own threshold. So the objective as a
function of the weight is a staircase. All of its steps are computed at once, and the weight goes to
the middle of the lowest.

Shapes in names: N samples, P pairs, Q samples of a bit, L bits.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError
from jhash.solvers import draws, moments, pca

# The number of samples of a bit, the share of all samples that each is paired with, the
# deviation of the first weights, and the change of the objective at which the descent ends, here
# per pair: it is 1 for 1,000 samples with 50 pairs each.
_SAMPLES = 20
_SHARE = 0.05
_DEVIATION = 1e-3
_CHANGE = 2e-5
# Bound on the number of times that a weight of every bit is updated.
_ROUNDS = 500
# What is drawn with a key: places of samples, pairs, and all of the descent.
_PLACES, _PAIRS, _WEIGHTS = range(3)


class Pairs(NamedTuple):
    """Pairs of samples.

    Attributes:
      first: Index of the first sample of each pair, int [P].
      second: Index of the second, int [P].
    """

    first: np.ndarray
    second: np.ndarray


class Drawn(NamedTuple):
    """Samples to which bits are fitted.

    Attributes:
      indices: Their places among all samples, int [N].
      unit: Their features, centered and divided by their length, float64 [N, z].
      mean: Mean of all features, float64 [z].
      pairs: The pairs of them.
    """

    indices: np.ndarray
    unit: np.ndarray
    mean: np.ndarray
    pairs: Pairs


class Embedding(NamedTuple):
    """Hash functions of BRE.

    Attributes:
      samples: Indices of the samples of each bit, int [Q, L].
      weights: Their weights W, float64 [Q, L].
      objective: The objective before the first round and after each, float64 [rounds + 1].
    """

    samples: np.ndarray
    weights: np.ndarray
    objective: np.ndarray


def draw(features: jax.Array, samples: int, key: jax.Array) -> Drawn:
    """Draws samples, and for each of them 5 % of the others, at least one, as pairs.

    Args:
      features: float [N, z].
      samples: Number of samples, of which there are no more than features.
      key: PRNG key.

    Returns:
      The samples and their pairs.

    Raises:
      InputError: There are fewer than two samples.
    """
    x_Nxz = np.asarray(features)
    samples = min(samples, len(x_Nxz))
    if samples < 2:
        raise InputError(f"features: {samples} samples given; allowed: 2 or more, to be pairs.")
    indices = draws.places(key, samples, len(x_Nxz), _PLACES)
    mean_z = moments.mean(x_Nxz)
    centered_Nxz = x_Nxz[indices] - mean_z
    length_Nx1 = np.linalg.norm(centered_Nxz, axis=1, keepdims=True)
    unit_Nxz = centered_Nxz / np.where(length_Nx1 == 0, 1, length_Nx1)

    ranks_NxN = draws.generator(key, _PAIRS).random((samples, samples))
    np.fill_diagonal(ranks_NxN, np.inf)
    count = max(1, int(_SHARE * samples))
    second_NxP = np.argsort(ranks_NxN, axis=1, kind="stable")[:, :count]
    pairs = Pairs(np.repeat(np.arange(samples), count), second_NxP.reshape(-1))
    return Drawn(indices, unit_Nxz, mean_z, pairs)


def kernel(drawn: Drawn) -> np.ndarray:
    """Computes the inner products of the samples, float64 [N, N]."""
    return drawn.unit @ drawn.unit.T


def fit_layer(drawn: Drawn, target_P: np.ndarray, bits: int, key: jax.Array) -> dict:
    """Fits bits to the targets, and writes them as a linear layer on features.

    Args:
      drawn: The samples and their pairs.
      target_P: Target distances of the pairs, float in [0, 1].
      bits: Number of bits.
      key: PRNG key.

    Returns:
      {"kernel": float32 [z, bits], "bias": float32 [bits]}.
    """
    fitted = embed(kernel(drawn), target_P, drawn.pairs, bits, key)
    weights_NxL = np.zeros((len(drawn.unit), bits))
    np.put_along_axis(weights_NxL, fitted.samples, fitted.weights, axis=0)
    kernel_zxL = drawn.unit.T @ weights_NxL
    return pca.as_layer(jnp.float32(drawn.mean), jnp.float32(kernel_zxL))


def embed(
    kernel_NxN: np.ndarray, target_P: np.ndarray, pairs: Pairs, bits: int, key: jax.Array
) -> Embedding:
    """Fits the weights of all bits by coordinate descent.

    Args:
      kernel_NxN: Inner products of the samples, float.
      target_P: Target distances of the pairs, float in [0, 1].
      pairs: The pairs.
      bits: Number of bits.
      key: PRNG key of the samples of each bit, the first weights, and the order of updates.

    Returns:
      The hash functions. No update raises the objective.

    References:
      Kulis and Darrell 2009, section 3, and dengcai78/MatlabFunc:
      ANNS/Hashing/Unsupervised/BRE/BRE.m, the authors' descent. There the weight can end between
      thresholds that are equal, where rounding decides; here such places are not among the steps.
    """
    rng = draws.generator(key, _WEIGHTS)
    size = min(_SAMPLES, len(kernel_NxN))
    samples_QxL = np.stack([rng.permutation(len(kernel_NxN))[:size] for _ in range(bits)], axis=1)
    weights_QxL = _DEVIATION * rng.standard_normal((size, bits))
    order_RxL = rng.integers(0, size, (_ROUNDS, bits))

    values_LxN = np.stack(
        [kernel_NxN[:, samples_QxL[:, k]] @ weights_QxL[:, k] for k in range(bits)]
    )
    signs_LxN = _signs(values_LxN)
    agree_P = (signs_LxN[:, pairs.first] * signs_LxN[:, pairs.second]).sum(0)
    error_P = (1 - agree_P / bits) / 2 - target_P
    objective = [np.square(error_P).sum() / 2]
    for order_L in order_RxL:
        for k, q in enumerate(order_L):
            influence_N = kernel_NxN[:, samples_QxL[q, k]]
            change = best_change(values_LxN[k], influence_N, error_P, pairs, bits)
            new_N = values_LxN[k] + change * influence_N
            new_error_P = error_P + _difference(signs_LxN[k], _signs(new_N), pairs) / (2 * bits)
            # Rounding may put a sample on the other side of a threshold; then nothing changes.
            if np.square(new_error_P).sum() < np.square(error_P).sum():
                weights_QxL[q, k] += change
                values_LxN[k], signs_LxN[k], error_P = new_N, _signs(new_N), new_error_P
        objective.append(np.square(error_P).sum() / 2)
        if objective[-2] - objective[-1] < _CHANGE * len(error_P):
            break
    return Embedding(samples_QxL, weights_QxL, np.array(objective))


def best_change(
    values_N: np.ndarray, influence_N: np.ndarray, error_P: np.ndarray, pairs: Pairs, bits: int
) -> float:
    """Finds the change of one weight with which the objective is lowest.

    Args:
      values_N: Values of the samples whose signs are the bit.
      influence_N: What a change of the weight by 1 adds to each value.
      error_P: d - t of the pairs, with the bit as it is.
      pairs: The pairs.
      bits: Number of bits.

    Returns:
      The change; 0 if no sample's bit depends on the weight.
    """
    # A bit whose value the weight does not change never flips.
    moves_N = influence_N != 0
    if not moves_N.any():
        return 0.0
    threshold_N = np.where(moves_N, -values_N / np.where(moves_N, influence_N, 1), np.inf)
    thresholds = np.unique(threshold_N[moves_N])
    # The step, 0 to len(thresholds), from which on a sample has flipped. In step 0 the weight is
    # below all thresholds.
    step_N = np.searchsorted(thresholds, threshold_N) + 1
    start_N = np.where(moves_N, np.where(influence_N > 0, -1, 1), _signs(values_N))

    # With s the bit in {-1, +1}, (d - t) = (rest of all other bits) + (1 - s_i s_j) / (2 l). So the
    # objective is a constant - (1 / 2 l) sum of (rest + 1 / 2 l) s_i s_j over pairs.
    signs_N = _signs(values_N)
    rest_P = error_P + signs_N[pairs.first] * signs_N[pairs.second] / (2 * bits)
    pull_P = rest_P * start_N[pairs.first] * start_N[pairs.second]
    # In the steps between the flips of its two samples, a pair's product has the other sign.
    first_P, last_P = step_N[pairs.first], step_N[pairs.second]
    count = len(thresholds) + 2
    changes = np.bincount(np.minimum(first_P, last_P), pull_P, count)
    changes -= np.bincount(np.maximum(first_P, last_P), pull_P, count)
    best = np.argmin(np.cumsum(changes)[:-1])
    margin = max(np.ptp(thresholds), np.abs(thresholds).max(), 1e-6)
    edges = np.concatenate([[thresholds[0] - margin], thresholds, [thresholds[-1] + margin]])
    return float((edges[best] + edges[best + 1]) / 2)


def _signs(values):
    return np.where(values > 0, 1, -1)


def _difference(old_N, new_N, pairs):
    """Returns s_i s_j before minus s_i s_j after."""
    return old_N[pairs.first] * old_N[pairs.second] - new_N[pairs.first] * new_N[pairs.second]
