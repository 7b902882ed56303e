"""Pairwise losses: every image of a batch against every other, similar or not by their labels.

Shapes in names: B images of the (global) batch, L bits, C classes.
"""

import functools

import chex
import jax
import jax.numpy as jnp

# Readings of eq. 2 for dissimilar pairs: see `log_distance_loss`. Sub-gradient 0 at a kink.
DISSIMILAR = {"hinge": jax.nn.relu, "abs": jnp.abs, "printed": lambda distance: distance}


@jax.jit
def similar(labels: jax.Array) -> jax.Array:
    """S: whether two images of the batch share at least one label.

    Args:
      labels: int [B] class ids or 0/1 [B, C].

    Returns:
      bool [B, B], symmetric. The diagonal is True, save for an image without any label.

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
    r"""Squared distances of similar pairs; of dissimilar ones, what a log distance lacks to t.

    ||x_i - x_j||^2 where i and j are similar, else f(t + \sum_l log(1 - |x_il - x_jl|)).

    Args:
      x_BxL: Relaxed codes, in [1/4, 3/4] (the shrink sigmoid); values and gradients are finite as
        long as dissimilar pairs differ by less than 1 in every bit.
      similar_BxB: bool, from `similar`.
      threshold: t; the paper takes L / 4.8.
      dissimilar: f, one of "hinge" (max(0, .)), "abs" (|.|), "printed" (the identity).

    Returns:
      [B, B] in the dtype of x, symmetric, a value an ordered pair; the diagonal is no pair.

    Raises:
      ValueError: `dissimilar` is none of the three.
      AssertionError: Shapes do not fit, or `similar_BxB` is not bool (an S in -1, 1 would be true
        everywhere).

    References:
      DAH (Li et al. 2020), eq. 2, natural logarithm. As printed, without f, it falls below 0 as
      soon as a pair is farther apart than the threshold and then rewards distance without end, but
      the text says that it "is minimal only when this distance is equal to the threshold". "abs" is
      that sentence to the letter; "hinge", the default, lets go of pairs that are far enough apart.
      A saturated bit, 1/4 against 3/4, adds log(1/2), so that t = L / 4.8 is the distance of pairs
      that differ in about 30 % of their bits.
    """
    chex.assert_rank(x_BxL, 2)
    chex.assert_shape(similar_BxB, (x_BxL.shape[0], x_BxL.shape[0]))
    chex.assert_type(similar_BxB, bool)
    if dissimilar not in DISSIMILAR:
        raise ValueError(
            f"dissimilar: {dissimilar!r} given; allowed are {', '.join(map(repr, DISSIMILAR))}."
        )

    # The logarithms do not factorise, so one image after another meets the batch, in L x B arrays;
    # the gradient makes these anew rather than keep those of all images. (A loop over bits takes
    # twice as long on a CPU.) Squares from the same differences do not cancel as those of a Gram
    # product would: equal codes are at distance 0 exactly.
    x_LxB = x_BxL.T

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def sum_over_bits(image):
        x_L, similar_B = image
        difference_LxB = x_L[:, None] - x_LxB
        # Similar pairs may differ by 1; masked before the logarithm, they cannot make 0 * inf.
        apart_LxB = jnp.where(similar_B, 0, jnp.abs(difference_LxB))
        return jnp.where(similar_B, jnp.square(difference_LxB), jnp.log(1 - apart_LxB)).sum(0)

    sum_BxB = jax.lax.map(sum_over_bits, (x_BxL, similar_BxB))
    distance_BxB = jnp.asarray(threshold, x_BxL.dtype) + sum_BxB
    return jnp.where(similar_BxB, sum_BxB, DISSIMILAR[dissimilar](distance_BxB))


@jax.jit
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def likelihood_loss(u_BxL: jax.Array, similar_BxB: jax.Array) -> jax.Array:
    r"""Negative log-likelihood of each pair's S, where sigmoid(beta) is the chance to be similar.

    -(s_ij beta_ij - log(1 + e^{beta_ij})), beta_ij = u_i . u_j / 2.

    Args:
      u_BxL: Relaxed codes, any real numbers; bit = u > 0.
      similar_BxB: bool, from `similar`.

    Returns:
      [B, B] in the dtype of u, a value an ordered pair, at least 0; the diagonal is no pair. Take
      the mean (`mean_over_pairs`) where the paper has the sum: there are B - 1 times as many pairs
      as images, so that the balance with a term over images would depend on the batch size.

    Raises:
      AssertionError: Shapes do not fit, or `similar_BxB` is not bool (an S in -1, 1 would be true
        everywhere).

    References:
      AIHN (Li et al. 2020), eq. 7, which prints beta with the binary b = sgn(u). The sign function
      has no gradient; meant is the relaxation of DPSH (Li, Wang and Kang 2016), from which the loss
      comes: u itself.
    """
    chex.assert_rank(u_BxL, 2)
    chex.assert_shape(similar_BxB, (u_BxL.shape[0], u_BxL.shape[0]))
    chex.assert_type(similar_BxB, bool)
    beta_BxB = u_BxL @ u_BxL.T / 2
    # log(1 + e^beta) - beta = log(1 + e^-beta): the difference of two large numbers never appears.
    return jax.nn.softplus(jnp.where(similar_BxB, -beta_BxB, beta_BxB))


@jax.jit
def balance_loss(x_BxL: jax.Array) -> jax.Array:
    r"""For each image, the mean over the others of the squared sum of both codes about 1/2.

    1 / (B - 1) \sum_{j != i} (a_i + a_j)^2, a_i = \sum_l (x_il - 1/2). The mean over i is the mean
    over ordered pairs.

    Args:
      x_BxL: Relaxed codes, in [1/4, 3/4]; 0 is reached where ones and zeros balance.

    Returns:
      [B] in the dtype of x.

    Raises:
      ValueError: The batch has fewer than two images.

    References:
      DAH (Li et al. 2020), eq. 4 averaged as in eq. 6: the square is of the sum over both images
      *and* all bits, so that no bit and no image has to be balanced by itself.
    """
    chex.assert_rank(x_BxL, 2)
    others = _others(len(x_BxL))
    a_B = (x_BxL - 0.5).sum(1)
    square_B = jnp.square(a_B)
    # The square expanded, each sum over j != i as the whole sum less its i-th term.
    cross_B = 2 * a_B * (a_B.sum() - a_B)
    return square_B + (cross_B + square_B.sum() - square_B) / others


@jax.jit
def mean_over_pairs(values_BxB: jax.Array) -> jax.Array:
    """Average over the B (B - 1) ordered pairs i != j.

    Args:
      values_BxB: A value an ordered pair; what stands on the diagonal is ignored.

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
    """The number of other images that each image is paired with."""
    if batch < 2:
        raise ValueError(f"batch: {batch} image given; pairs need at least 2.")
    return batch - 1
