"""Triplet losses: an image of the batch, a similar one and a dissimilar one, in all combinations.

An *anchor* is the image that the other two are compared with. Losses are averaged over the triplets
of each anchor, then (`mean_over_anchors`) over the anchors. The B x B triplets of an anchor are
computed together with their gradient, those of one anchor after another (see `per_image`), so that
no B x B x B array is kept.

Shapes in names: B images of the (global) batch, L bits.
"""

import functools

import chex
import jax
import jax.numpy as jnp

from jhash import forms
from jhash.losses import pairwise, per_image


@forms.jit(static_argnames="margin")
def ranking_loss(u_BxL: jax.Array, similar_BxB: jax.Array, *, margin: float) -> jax.Array:
    r"""Computes how far dissimilar images fail to be farther away than similar ones by a margin.

    max(0, m + ||u_q - u_p||^2 - ||u_q - u_n||^2), p similar to the anchor q and n not.

    Args:
      u_BxL: Relaxed codes, any real numbers.
      similar_BxB: bool, from `pairwise.similar`.
      margin: m.

    Returns:
      [B] in the dtype of u, the mean over each anchor's triplets; 0 for an anchor without any.

    Raises:
      AssertionError: Shapes do not fit, or `similar_BxB` is not bool.

    References:
      DNNH (Lai, Pan, Liu and Yan 2015), as in the survey of Luo et al. (2023).
    """
    _check(u_BxL, similar_BxB)

    def hinge(gap_BxB):
        short_BxB = margin + gap_BxB
        return jax.nn.relu(short_BxB), (short_BxB > 0).astype(gap_BxB.dtype)

    return _mean_per_anchor(hinge, pairwise.squared_distances(u_BxL), similar_BxB)


@forms.jit(static_argnames="margin")
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def likelihood_loss(u_BxL: jax.Array, similar_BxB: jax.Array, *, margin: float) -> jax.Array:
    r"""Computes the negative log-likelihood of triplets.

    log(1 + e^{-(theta_qp - theta_qn - m)}), theta_ij = u_i . u_j / 2, p similar to the anchor q and
    n not.

    Args:
      u_BxL: Relaxed codes, any real numbers; bit = u > 0.
      similar_BxB: bool, from `pairwise.similar`.
      margin: m.

    Returns:
      [B] in the dtype of u, the mean over each anchor's triplets; 0 for an anchor without any.

    Raises:
      AssertionError: Shapes do not fit, or `similar_BxB` is not bool.

    References:
      DTSH (Wang, Shi and Kitani 2016); Minione/DTSH:train_triplet.m of its authors.
    """
    _check(u_BxL, similar_BxB)

    def softplus(gap_BxB):
        # log(1 + e^x) and its derivative, from one exponential that does not overflow.
        x_BxB = margin - gap_BxB
        small_BxB = jnp.exp(-jnp.abs(x_BxB))
        sigmoid_BxB = jnp.where(x_BxB > 0, 1, small_BxB) / (1 + small_BxB)
        return jax.nn.relu(x_BxB) + jnp.log1p(small_BxB), -sigmoid_BxB

    return _mean_per_anchor(softplus, u_BxL @ u_BxL.T / 2, similar_BxB)


@jax.jit
def mean_over_anchors(values_B: jax.Array, similar_BxB: jax.Array) -> jax.Array:
    """Averages over the images that have both a similar and a dissimilar one in the batch.

    Args:
      values_B: One value per image.
      similar_BxB: bool, from `pairwise.similar`.

    Returns:
      Scalar in the dtype of the values; 0 if there is no such image.
    """
    near_BxB, far_BxB = _kinds(similar_BxB)
    anchors_B = near_BxB.any(1) & far_BxB.any(1)
    chex.assert_equal_shape([values_B, anchors_B])
    return values_B.sum(where=anchors_B) / jnp.maximum(anchors_B.sum(), 1)


def _kinds(similar_BxB):
    """Returns which images are similar to each anchor, and which are not; none is itself."""
    chex.assert_type(similar_BxB, bool)
    batch = len(similar_BxB)
    chex.assert_shape(similar_BxB, (batch, batch))
    others_BxB = ~jnp.eye(batch, dtype=bool)
    return similar_BxB & others_BxB, ~similar_BxB & others_BxB


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _mean_per_anchor(loss, values_BxB, similar_BxB):
    """Averages the loss of the triplets of each anchor.

    Args:
      loss: Function of the value with a similar image minus that with a dissimilar one; it returns
        the loss and its derivative.
      values_BxB: Value of each pair.
      similar_BxB: bool.

    Returns:
      [B].
    """
    return _with_slopes(loss, values_BxB, similar_BxB)[0]


@_mean_per_anchor.defjvp
def _mean_per_anchor_jvp(loss, primals, tangents):
    means_B, slopes_BxB = _with_slopes(loss, *primals)
    return means_B, (slopes_BxB * tangents[0]).sum(1)


def _with_slopes(loss, values_BxB, similar_BxB):
    """Returns the means of the anchors, and their derivatives by the values of their pairs."""

    def of_anchor(anchor):
        values_B, near_B, far_B = anchor
        triplets_BxB = near_B[:, None] & far_B
        count = jnp.maximum(triplets_BxB.sum(), 1)
        loss_BxB, slope_BxB = loss(values_B[:, None] - values_B)
        slope_BxB = jnp.where(triplets_BxB, slope_BxB, 0)
        slopes_B = (slope_BxB.sum(1) - slope_BxB.sum(0)) / count
        return loss_BxB.sum(where=triplets_BxB) / count, slopes_B

    anchors = (values_BxB, *_kinds(similar_BxB))
    return per_image.map_images(of_anchor, anchors, values_BxB.size)


def _check(u_BxL, similar_BxB):
    chex.assert_rank(u_BxL, 2)
    chex.assert_shape(similar_BxB, (len(u_BxL), len(u_BxL)))
