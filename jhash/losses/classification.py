"""Classification losses of logits, for class ids and for several labels.

Shapes in names: B images of the (global) batch, C classes.
"""

import chex
import jax
import jax.numpy as jnp

from jhash.losses import multi_label


@jax.jit
def cross_entropy(logits_BxC: jax.Array, labels: jax.Array) -> jax.Array:
    r"""Computes the cross-entropy of each image: of a softmax, or of one sigmoid per label.

    With class ids, -log softmax(z)_y. With 0/1 labels, which may be several for an image,
    -\sum_c (y_c log sigmoid(z_c) + (1 - y_c) log(1 - sigmoid(z_c))).

    Args:
      logits_BxC: z, any real numbers.
      labels: y, int [B] class ids or 0/1 [B, C].

    Returns:
      [B] in the dtype of the logits, at least 0.

    Raises:
      AssertionError: Shapes do not fit.
    """
    chex.assert_rank(logits_BxC, 2)
    chex.assert_rank(labels, {1, 2})
    if labels.ndim == 2:
        return multi_label.binary_cross_entropy(logits_BxC, labels)
    chex.assert_equal_shape_prefix([logits_BxC, labels], 1)
    return -jnp.take_along_axis(jax.nn.log_softmax(logits_BxC), labels[:, None], axis=1)[:, 0]


@jax.jit
def accuracy(logits_BxC: jax.Array, labels: jax.Array) -> jax.Array:
    """Computes the share of right answers, of all images or of all pairs of an image and a label.

    Args:
      logits_BxC: Any real numbers. With class ids the largest is the answer; with 0/1 labels every
        logit is one, which says yes above 0.
      labels: int [B] class ids or 0/1 [B, C].

    Returns:
      Scalar float32.
    """
    chex.assert_rank(labels, {1, 2})
    if labels.ndim == 2:
        return jnp.mean((logits_BxC > 0) == (labels == 1))
    return jnp.mean(logits_BxC.argmax(1) == labels)
