"""Pairwise losses: every image of a batch against every other, similar or not by its labels.

Shapes in names: B images of the (global) batch, L bits, C classes.
"""

import functools

import chex
import jax
import jax.numpy as jnp

# Three readings of DAH's eq. 2 for dissimilar pairs, see `log_distance_loss`. The first two have
# the sub-gradient 0 at their kink.
DISSIMILAR = {"hinge": jax.nn.relu, "abs": jnp.abs, "printed": lambda shortfall: shortfall}


@jax.jit
def similar(labels: jax.Array) -> jax.Array:
    """Computes S: True for two images of the batch that share at least one label.

    Args:
      labels: int [B] class ids or 0/1 [B, C].

    Returns:
      bool [B, B], symmetric. The diagonal is True, except for images without any label.

    Raises:
      AssertionError: `labels` have neither one nor two axes.

    References:
      DAH (Li et al. 2020), eq. 3.
    """
    chex.assert_rank(labels, {1, 2})
    if labels.ndim == 1:
        return labels[:, None] == labels
    labels_BxC = labels.astype(jnp.float32)
    return labels_BxC @ labels_BxC.T > 0


@functools.partial(jax.jit, static_argnames="dissimilar")
def log_distance_loss(
    x_BxL: jax.Array, similar_BxB: jax.Array, *, threshold: float, dissimilar: str = "hinge"
) -> jax.Array:
    r"""Pulls similar pairs together and pushes dissimilar ones to a distance.

    ||x_i - x_j||^2 where i and j are similar, else f(t + \sum_l log(1 - |x_il - x_jl|)). The sum is
    minus the log distance of the pair, so f is applied to t minus the log distance.

    Args:
      x_BxL: Relaxed codes, in [1/4, 3/4] if they come from the shrink sigmoid. Values and gradients
        are finite as long as dissimilar pairs differ by less than 1 in every bit.
      similar_BxB: bool, from `similar`.
      threshold: Log distance t that dissimilar pairs should have; the paper takes L / 4.8.
      dissimilar: Name of the function f: "hinge" (max(0, .)), "abs" (|.|) or "printed" (identity).

    Returns:
      [B, B] in the dtype of x, symmetric, one value per ordered pair. The diagonal is no pair.

    Raises:
      ValueError: `dissimilar` is none of the three.
      AssertionError: Shapes do not fit, or `similar_BxB` is not bool (an S in -1, 1 would be true
        everywhere).

    References:
      DAH (Li et al. 2020), eq. 2, with the natural logarithm. As printed, without f, the loss falls
      below 0 as soon as a pair is farther apart than the threshold, and goes on falling with the
      distance. But the text says that it "is minimal only when this distance is equal to the
      threshold". "abs" is that sentence to the letter. "hinge", the default, leaves alone pairs
      that are far enough apart. A saturated bit, 1/4 against 3/4, adds log(1/2), so t = L / 4.8 is
      the distance of pairs that differ in about 30 % of their bits.
    """
    chex.assert_rank(x_BxL, 2)
    chex.assert_shape(similar_BxB, (x_BxL.shape[0], x_BxL.shape[0]))
    chex.assert_type(similar_BxB, bool)
    if dissimilar not in DISSIMILAR:
        raise ValueError(
            f"dissimilar: {dissimilar!r} given; allowed: {', '.join(map(repr, DISSIMILAR))}."
        )

    # The logarithms do not factorize, so one image after another is compared with the batch, in
    # L x B arrays. The backward pass computes these again instead of keeping those of all images.
    # (A loop over bits takes twice as long on a CPU.) The squares are taken of the same differences
    # and not from a Gram product, in which digits would cancel: equal codes have a distance of
    # exactly 0.
    x_LxB = x_BxL.T

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def sum_over_bits(image):
        x_L, similar_B = image
        difference_LxB = x_L[:, None] - x_LxB
        # Similar pairs may differ by 1. They are masked before the logarithm, as otherwise their
        # gradient would be 0 * inf.
        apart_LxB = jnp.where(similar_B, 0, jnp.abs(difference_LxB))
        return jnp.where(similar_B, jnp.square(difference_LxB), jnp.log(1 - apart_LxB)).sum(0)

    sum_BxB = jax.lax.map(sum_over_bits, (x_BxL, similar_BxB))
    shortfall_BxB = jnp.asarray(threshold, x_BxL.dtype) + sum_BxB
    return jnp.where(similar_BxB, sum_BxB, DISSIMILAR[dissimilar](shortfall_BxB))


@jax.jit
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def likelihood_loss(u_BxL: jax.Array, similar_BxB: jax.Array) -> jax.Array:
    r"""Computes the negative log-likelihood of each pair's S.

    -(s_ij beta_ij - log(1 + e^{beta_ij})), beta_ij = u_i . u_j / 2: a pair is similar with
    probability sigmoid(beta_ij).

    Args:
      u_BxL: Relaxed codes, any real numbers; bit = u > 0.
      similar_BxB: bool, from `similar`.

    Returns:
      [B, B] in the dtype of u, one value per ordered pair, at least 0. The diagonal is no pair. Use
      the mean (`mean_over_pairs`) where the paper has the sum: there are B - 1 times as many pairs
      as images, so a sum's weight against a term over images would depend on the batch size.

    Raises:
      AssertionError: Shapes do not fit, or `similar_BxB` is not bool (an S in -1, 1 would be true
        everywhere).

    References:
      AIHN (Li et al. 2020), eq. 7, which prints beta with the binary b = sgn(u). The sign function
      has no useful gradient, so beta uses u itself, as does DPSH (Li, Wang and Kang 2016), from
      which the loss comes.
    """
    chex.assert_rank(u_BxL, 2)
    chex.assert_shape(similar_BxB, (u_BxL.shape[0], u_BxL.shape[0]))
    chex.assert_type(similar_BxB, bool)
    beta_BxB = u_BxL @ u_BxL.T / 2
    # log(1 + e^beta) - beta = log(1 + e^-beta), so no difference of large numbers is needed.
    return jax.nn.softplus(jnp.where(similar_BxB, -beta_BxB, beta_BxB))


@jax.jit
def balance_loss(x_BxL: jax.Array) -> jax.Array:
    r"""Computes how unequal the numbers of ones and zeros are, in pairs of images.

    1 / (B - 1) \sum_{j != i} (a_i + a_j)^2 for image i, where a_i = \sum_l (x_il - 1/2) is 0 for a
    code with as many ones as zeros. The mean over i is the mean over ordered pairs.

    Args:
      x_BxL: Relaxed codes, in [1/4, 3/4].

    Returns:
      [B] in the dtype of x.

    Raises:
      ValueError: The batch has fewer than two images.

    References:
      DAH (Li et al. 2020), eq. 4, averaged as in eq. 6. The square is of the sum over both images
      *and* all bits, so no bit and no image has to be balanced by itself.
    """
    chex.assert_rank(x_BxL, 2)
    others = _others(len(x_BxL))
    a_B = (x_BxL - 0.5).sum(1)
    square_B = jnp.square(a_B)
    # The square is expanded, and each sum over j != i is the whole sum minus its i-th term.
    cross_B = 2 * a_B * (a_B.sum() - a_B)
    return square_B + (cross_B + square_B.sum() - square_B) / others


@jax.jit
def mean_over_pairs(values_BxB: jax.Array) -> jax.Array:
    """Averages over the B (B - 1) ordered pairs i != j.

    Args:
      values_BxB: One value per ordered pair; the diagonal is ignored.

    Returns:
      Scalar in the dtype of the values.

    Raises:
      ValueError: The batch has fewer than two images.

    References:
      DAH (Li et al. 2020), eq. 6, whose A_{2n}^2 = 2n (2n - 1) counts these pairs.
    """
    batch = len(values_BxB)
    chex.assert_shape(values_BxB, (batch, batch))
    pairs = batch * _others(batch)
    return values_BxB.sum(where=~jnp.eye(batch, dtype=bool)) / pairs


def _others(batch: int) -> int:
    """Returns the number of other images with which each image forms a pair."""
    if batch < 2:
        raise ValueError(f"batch: {batch} given; allowed: 2 images or more, to form pairs.")
    return batch - 1
