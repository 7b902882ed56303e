"""t-SNE of few samples: coordinates in which near samples stay near (van der Maaten, Hinton 2008).

All N x N distances are in memory, so it is for hundreds of samples, not for a data set.

Shapes in names: N samples, z features, L coordinates.
"""

import functools

import jax
import jax.numpy as jnp

from jhash.solvers import pca

# The constants of the authors' code, but for the learning rate, which is N over the exaggeration
# (Belkina et al. 2019).
_EXAGGERATION = 12.0
_EXAGGERATED = 250
_ITERATIONS = 1000
_MOMENTA = (0.5, 0.8)
_MIN_GAIN = 0.01
_START = 1e-4
# Number of halvings of the interval in which the width of a sample's Gaussian lies.
_HALVINGS = 50
_SMALLEST = 1e-12


@functools.partial(jax.jit, static_argnames=("count", "perplexity", "iterations"))
@jax.default_matmul_precision("highest")
def embed(
    features_Nxz: jax.Array,
    count: int,
    key: jax.Array,
    perplexity: float = 30.0,
    iterations: int = _ITERATIONS,
) -> jax.Array:
    """Computes coordinates from principal components by gradient descent.

    The Student distribution of distances between coordinates has max(L - 1, 1) degrees of freedom.
    With one, as for pictures, many coordinates would have room for all samples far apart.

    Args:
      features_Nxz: Features, at least 2 samples.
      count: Number of coordinates L.
      key: PRNG key of the start of coordinates for which there is no principal component.
      perplexity: Number of neighbors that count, at most (N - 1) / 3.
      iterations: Number of steps.

    Returns:
      float32 [N, L], whose columns have the mean 0.

    References:
      van der Maaten and Hinton 2008; the degrees of freedom: van der Maaten 2009. As in
      scikit-learn, which the tests compare with.
    """
    x_Nxz = jnp.asarray(features_Nxz, jnp.float32)
    x_Nxz -= x_Nxz.mean(0)
    samples = len(x_Nxz)
    probabilities_NxN = affinities(x_Nxz, min(perplexity, (samples - 1) / 3))
    axes = min(count, *x_Nxz.shape)
    mean_z, projection_zxA = pca.components(x_Nxz, axes)
    start_NxA = (x_Nxz - mean_z) @ projection_zxA
    start_NxA *= _START / jnp.maximum(start_NxA[:, :1].std(), _SMALLEST)
    random = _START * jax.random.normal(key, (samples, count - axes))
    y_NxL = jnp.concatenate([start_NxA, random], axis=1)
    rate = max(samples / _EXAGGERATION / 4, 50)

    def step(carry, number):
        y_NxL, velocity_NxL, gains_NxL = carry
        early = number < _EXAGGERATED
        scale = jnp.where(early, _EXAGGERATION, 1.0)
        gradient_NxL = gradient(scale * probabilities_NxN, y_NxL)
        turned = velocity_NxL * gradient_NxL < 0
        gains_NxL = jnp.where(turned, gains_NxL + 0.2, gains_NxL * 0.8)
        gains_NxL = jnp.maximum(gains_NxL, _MIN_GAIN)
        momentum = jnp.where(early, *_MOMENTA)
        velocity_NxL = momentum * velocity_NxL - rate * gains_NxL * gradient_NxL
        return (y_NxL + velocity_NxL, velocity_NxL, gains_NxL), None

    first = y_NxL, jnp.zeros_like(y_NxL), jnp.ones_like(y_NxL)
    y_NxL = jax.lax.scan(step, first, jnp.arange(iterations))[0][0]
    return y_NxL - y_NxL.mean(0)


@jax.default_matmul_precision("highest")
def affinities(x_Nxz: jax.Array, perplexity: float) -> jax.Array:
    """Computes the probabilities of pairs of samples, [N, N], symmetric, with the sum 1.

    Each sample has a Gaussian of the width with which its neighbors have that perplexity.

    Args:
      x_Nxz: Features near 0.
      perplexity: Number of neighbors that count, 1 or more.
    """
    others_NxN = ~jnp.eye(len(x_Nxz), dtype=bool)
    distance_NxN = _squared_distances(x_Nxz)
    # Near 1, so that the interval of widths suits all features. The nearest has the distance 0:
    # its weight is 1, however narrow a Gaussian is.
    distance_NxN /= jnp.maximum(distance_NxN.mean(), _SMALLEST)
    nearest_Nx1 = jnp.where(others_NxN, distance_NxN, jnp.inf).min(1, keepdims=True)
    distance_NxN -= nearest_Nx1

    def shares(log_precision_N):
        logits_NxN = -jnp.exp(log_precision_N)[:, None] * distance_NxN
        return jax.nn.log_softmax(logits_NxN, axis=1, where=others_NxN)

    def halve(_, interval):
        low_N, high_N = interval
        middle_N = (low_N + high_N) / 2
        log_NxN = jnp.where(others_NxN, shares(middle_N), 0)
        entropy_N = -jnp.where(others_NxN, jnp.exp(log_NxN) * log_NxN, 0).sum(1)
        wide_N = entropy_N > jnp.log(jnp.maximum(perplexity, 1.0))
        return jnp.where(wide_N, middle_N, low_N), jnp.where(wide_N, high_N, middle_N)

    ends = jnp.full(len(x_Nxz), -20.0), jnp.full(len(x_Nxz), 30.0)
    low_N, high_N = jax.lax.fori_loop(0, _HALVINGS, halve, ends)
    share_NxN = jnp.where(others_NxN, jnp.exp(shares((low_N + high_N) / 2)), 0)
    return (share_NxN + share_NxN.T) / (2 * len(x_Nxz))


@jax.default_matmul_precision("highest")
def gradient(probabilities_NxN: jax.Array, y_NxL: jax.Array) -> jax.Array:
    r"""Computes the gradient of \sum_ij p_ij log(p_ij / q_ij) by the coordinates, [N, L]."""
    freedom = max(y_NxL.shape[1] - 1, 1)
    near_NxN = 1 / (1 + _squared_distances(y_NxL) / freedom)
    power_NxN = jnp.where(jnp.eye(len(y_NxL), dtype=bool), 0, near_NxN ** ((freedom + 1) / 2))
    q_NxN = power_NxN / jnp.maximum(power_NxN.sum(), _SMALLEST)
    pull_NxN = (probabilities_NxN - q_NxN) * near_NxN
    scale = 2 * (freedom + 1) / freedom
    return scale * (pull_NxN.sum(1, keepdims=True) * y_NxL - pull_NxN @ y_NxL)


def _squared_distances(x_Nxz):
    squares_N = jnp.square(x_Nxz).sum(1)
    return jax.nn.relu(squares_N[:, None] + squares_N - 2 * x_Nxz @ x_Nxz.T)
