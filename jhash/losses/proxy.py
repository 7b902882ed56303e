"""Proxy losses: every image of a batch against learned directions of the classes.

Shapes in names: B images of the (global) batch, C classes.
"""

import functools

import chex
import jax
import jax.numpy as jnp


@functools.partial(jax.jit, static_argnames=("alpha", "delta", "threshold"))
def hinge_anchor_loss(
    cosine_BxC: jax.Array, labels: jax.Array, *, alpha: float, delta: float, threshold: float
) -> tuple[jax.Array, jax.Array]:
    r"""Computes how far a class's images are from its proxy, and how near the other images are.

    log(1 + \sum_i (e^{alpha h_i} - 1)) for each class. For the first loss, i runs over the images
    of the class and h = max(0, 1 - delta - cos); for the second one over the others, and
    h = max(0, cos - threshold - delta).

    Args:
      cosine_BxC: Cosine of each image's hash outputs and each proxy, in [-1, 1].
      labels: int [B] class ids or 0/1 [B, C].
      alpha: Steepness.
      delta: Slack of both hinges.
      threshold: The cosine from which on other images are too near, zeta in the paper.

    Returns:
      Two losses, [C] in the dtype of the cosines. A class without images in the batch has a first
      loss of 0, and one without others a second one of 0.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      HHF (Xu et al. 2022) in Proxy Anchor (Kim et al. 2020), and JerryXu0129/HHF:model.py.
    """
    chex.assert_rank(cosine_BxC, 2)
    chex.assert_rank(labels, {1, 2})
    if labels.ndim == 1:
        labels = labels[:, None] == jnp.arange(cosine_BxC.shape[1])
    of_class_BxC = labels == 1
    chex.assert_equal_shape([cosine_BxC, of_class_BxC])
    far_BxC = jnp.expm1(alpha * jax.nn.relu(1 - delta - cosine_BxC))
    near_BxC = jnp.expm1(alpha * jax.nn.relu(cosine_BxC - threshold - delta))
    return (
        jnp.log1p(far_BxC.sum(0, where=of_class_BxC)),
        jnp.log1p(near_BxC.sum(0, where=~of_class_BxC)),
    )
