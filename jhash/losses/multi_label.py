"""Losses of logits against several 0/1 labels per image, such as the bits of pseudo labels.

Shapes in names: B images of the (global) batch, L labels (bits).
"""

import chex
import jax
import jax.numpy as jnp

from jhash import forms
from jhash.losses import per_image


@jax.jit
def binary_cross_entropy(logits_BxL: jax.Array, labels_BxL: jax.Array) -> jax.Array:
    r"""Computes the cross-entropy of each image, summed over its labels.

    -\sum_l (h_l log sigmoid(z_l) + (1 - h_l) log(1 - sigmoid(z_l))).

    Args:
      logits_BxL: z, any real numbers.
      labels_BxL: h, 0 or 1, any dtype.

    Returns:
      [B] in the dtype of the logits, at least 0. Its sum divided by B L is PyTorch's
      BCEWithLogitsLoss.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      DSTGeH (Liu et al. 2020), eq. 11. It is computed from the logits, so that no sigmoid is
      rounded to 0 or 1.
    """
    _check(logits_BxL, labels_BxL)
    return jax.nn.softplus(jnp.where(labels_BxL == 1, -logits_BxL, logits_BxL)).sum(1)


@forms.jit
def margin(logits_BxL: jax.Array, labels_BxL: jax.Array) -> jax.Array:
    r"""Computes how far each image's logits of ones fail to exceed those of zeros by 1.

    1 / L \sum_{k: h_k = 1} \sum_{l: h_l = 0} max(0, 1 - (z_k - z_l)).

    Args:
      logits_BxL: z, any real numbers.
      labels_BxL: h, 0 or 1, any dtype.

    Returns:
      [B] in the dtype of the logits.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      DSTGeH (Liu et al. 2020), Table 2, "MLML": PyTorch's MultiLabelMarginLoss. It compares the
      logits of an image with each other only, so no threshold between ones and zeros is learned.
      PyTorch's loss gets the indices of the ones; dl-ai/DSTGeH, by the authors, gives it h itself.
    """
    _check(logits_BxL, labels_BxL)
    one_BxL = labels_BxL == 1

    # The L x L gaps of each image; the backward pass computes them again.
    def image_loss(image):
        z_L, one_L = image
        gap_LxL = jax.nn.relu(1 - (z_L[:, None] - z_L))
        return gap_LxL.sum(where=one_L[:, None] & ~one_L) / len(z_L)

    bits = logits_BxL.shape[1]
    again = jax.checkpoint(image_loss, prevent_cse=False)
    return per_image.map_images(again, (logits_BxL, one_BxL), bits * bits)


@jax.jit
def soft_margin(logits_BxL: jax.Array, labels_BxL: jax.Array) -> jax.Array:
    """Computes `binary_cross_entropy` averaged over the labels instead of summed.

    Args:
      logits_BxL: z, any real numbers.
      labels_BxL: h, 0 or 1, any dtype.

    Returns:
      [B] in the dtype of the logits.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      DSTGeH (Liu et al. 2020), Table 2, "MLSML": PyTorch's MultiLabelSoftMarginLoss, which is the
      cross-entropy of the logits divided by L. The table has a large difference between the two. In
      dl-ai/DSTGeH, by the authors, the loss gets outputs of a sigmoid in place of logits.
    """
    return binary_cross_entropy(logits_BxL, labels_BxL) / logits_BxL.shape[1]


def _check(logits_BxL, labels_BxL):
    chex.assert_rank(logits_BxL, 2)
    chex.assert_equal_shape([logits_BxL, labels_BxL])
