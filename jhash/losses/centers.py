"""Losses against fixed codes of the classes, *centers*: each image alone, without pairs.

Shapes in names: B images of the (global) batch, L bits, C classes.
"""

import functools

import chex
import jax
import jax.numpy as jnp

from jhash.losses import multi_label

# Cosines of angles are clipped to this range: the derivative of arccos is infinite at -1 and 1.
_LARGEST_COSINE = 0.99999


@jax.jit
def central_similarity(u_BxL: jax.Array, target_BxL: jax.Array) -> jax.Array:
    r"""Computes the cross-entropy between bits and the center of an image.

    The mean over bits of -(c log p + (1 - c) log(1 - p)), where p = (tanh u + 1) / 2 and c is 1 for
    a bit +1 of the center and 0 for a bit -1.

    Args:
      u_BxL: Hash outputs, any real numbers.
      target_BxL: Centers of the images, in {-1, +1}.

    Returns:
      [B] in the dtype of u, at least 0.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      CSQ (Yuan et al. 2020); yuanli2333/Hadamard-Matrix-for-hashing:train.py of its authors. As
      (tanh u + 1) / 2 = sigmoid(2 u), it is computed from 2 u, so that no logarithm has to be
      clipped.
    """
    bits = u_BxL.shape[1]
    return multi_label.binary_cross_entropy(2 * u_BxL, target_BxL > 0) / bits


@functools.partial(jax.jit, static_argnames="margin")
def polarization_loss(
    u_BxL: jax.Array,
    target_BxL: jax.Array,
    *,
    margin: float,
    count_B: jax.Array | float = 1.0,
) -> jax.Array:
    r"""Computes how far outputs fail to be beyond a margin on the side of the target's bits.

    \sum_l max(0, m - u_l t_l), summed over the centers t of the image's classes.

    Args:
      u_BxL: Hash outputs, any real numbers.
      target_BxL: Centers of the images, in {-1, +1}; for images of several classes the sum of the
        centers of these.
      margin: m.
      count_B: Number of classes of each image. The sum over them depends on the number and on the
        sum of the centers alone: (count + target) / 2 of them have +1 at a bit.

    Returns:
      [B] in the dtype of u, summed over the bits.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      DPN (Fan et al. 2020); kamwoh/DPN:main.py of its authors.
    """
    chex.assert_rank(u_BxL, 2)
    chex.assert_equal_shape([u_BxL, target_BxL])
    count_Bx1 = jnp.broadcast_to(jnp.asarray(count_B, u_BxL.dtype), len(u_BxL))[:, None]
    ones_BxL = (count_Bx1 + target_BxL) / 2
    zeros_BxL = (count_Bx1 - target_BxL) / 2
    loss_BxL = ones_BxL * jax.nn.relu(margin - u_BxL) + zeros_BxL * jax.nn.relu(margin + u_BxL)
    return loss_BxL.sum(1)


@functools.partial(jax.jit, static_argnames=("scale", "margin", "angular"))
def cosine_margin_loss(
    cosine_BxC: jax.Array,
    labels: jax.Array,
    *,
    scale: float,
    margin: float,
    angular: bool = False,
) -> jax.Array:
    r"""Computes the cross-entropy of a softmax over cosines, where the right classes have less.

    The logits are s (cos_c - m) for the classes of the image, with `angular` s cos(angle_c + m),
    and s cos_c for the others.

    Args:
      cosine_BxC: Cosine of each image's hash outputs and each center, in [-1, 1].
      labels: int [B] class ids or 0/1 [B, C].
      scale: s.
      margin: m, for angles in radians.
      angular: Whether the margin is of the angle and not of the cosine.

    Returns:
      [B] in the dtype of the cosines. For an image of several classes the target gives each the
      same probability; an image of none has the loss 0.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      OrthoHash (Hoe et al. 2021); kamwoh/orthohash:functions/loss/orthohash.py of its authors. The
      angular margin is that of ArcFace (Deng et al. 2019).
    """
    chex.assert_rank(cosine_BxC, 2)
    if labels.ndim == 1:
        labels = jax.nn.one_hot(labels, cosine_BxC.shape[1])
    chex.assert_equal_shape([cosine_BxC, labels])
    of_image_BxC = labels > 0
    if angular:
        clipped_BxC = jnp.clip(cosine_BxC, -_LARGEST_COSINE, _LARGEST_COSINE)
        less_BxC = jnp.cos(jnp.arccos(clipped_BxC) + margin)
    else:
        less_BxC = cosine_BxC - margin
    logits_BxC = scale * jnp.where(of_image_BxC, less_BxC, cosine_BxC)
    target_BxC = of_image_BxC / jnp.maximum(of_image_BxC.sum(1, keepdims=True), 1)
    target_BxC = target_BxC.astype(cosine_BxC.dtype)
    return -(target_BxC * jax.nn.log_softmax(logits_BxC, axis=1)).sum(1)
