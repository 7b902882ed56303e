"""Contrastive losses: a few images that should be near, against all others of the batch.

Shapes in names: B images of the (global) batch, L bits.
"""

import functools
import math

import chex
import jax
import jax.numpy as jnp

from jhash.losses.pairwise import unit_rows

# Added to the sum over dissimilar images, which may be empty.
_SMALLEST_SUM = 1e-5


@functools.partial(jax.jit, static_argnames="temperature")
@jax.default_matmul_precision("highest")
def nt_xent(first_BxL: jax.Array, second_BxL: jax.Array, *, temperature: float) -> jax.Array:
    r"""Computes the cross-entropy of finding an image's other view among all other views.

    -log(e^{cos(z_i, z_i') / t} / \sum_{j != i} e^{cos(z_i, z_j) / t}), where j runs over the other
    2 B - 1 views, and z_i' is the other view of the image of z_i.

    Args:
      first_BxL: First views, any real numbers, such as relaxed codes.
      second_BxL: Second views of the same images.
      temperature: t.

    Returns:
      [2 B] in the dtype of the views, those of the first views and then those of the second.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      SimCLR (Chen et al. 2020), "NT-Xent"; CIBHash (Qiu et al. 2021), whose code is
      zexuanqiu/CIBHash:model/CIBHash.py.
    """
    chex.assert_rank(first_BxL, 2)
    chex.assert_equal_shape([first_BxL, second_BxL])
    batch = len(first_BxL)
    unit_VxL = unit_rows(jnp.concatenate([first_BxL, second_BxL]))
    views = jnp.arange(2 * batch)
    cosine_VxV = unit_VxL @ unit_VxL.T / temperature
    log_VxV = jax.nn.log_softmax(cosine_VxV, axis=1, where=views[:, None] != views)
    return -log_VxV[views, (views + batch) % (2 * batch)]


@jax.jit
def bernoulli_divergence(u_BxL: jax.Array, v_BxL: jax.Array) -> jax.Array:
    r"""Computes the divergence of bits of probabilities sigmoid(u) from those of sigmoid(v).

    \sum_l (p log(p / q) + (1 - p) log((1 - p) / (1 - q))), p = sigmoid(u_l), q = sigmoid(v_l).

    Args:
      u_BxL: Hash outputs, any real numbers.
      v_BxL: Hash outputs of the distribution that is compared with.

    Returns:
      [B] in the dtype of u, at least 0 up to rounding.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      CIBHash (Qiu et al. 2021), zexuanqiu/CIBHash:model/CIBHash.py. The logarithms are computed
      from the outputs, so that none is of a rounded probability.
    """
    chex.assert_rank(u_BxL, 2)
    chex.assert_equal_shape([u_BxL, v_BxL])
    ones_BxL = jax.nn.log_sigmoid(u_BxL) - jax.nn.log_sigmoid(v_BxL)
    zeros_BxL = jax.nn.log_sigmoid(-u_BxL) - jax.nn.log_sigmoid(-v_BxL)
    one_BxL, zero_BxL = jax.nn.sigmoid(u_BxL), jax.nn.sigmoid(-u_BxL)
    return (one_BxL * ones_BxL + zero_BxL * zeros_BxL).sum(1)


@functools.partial(jax.jit, static_argnames="temperature")
@jax.default_matmul_precision("highest")
def similar_pairs_loss(
    u_BxL: jax.Array, similar_BxB: jax.Array, *, temperature: float
) -> jax.Array:
    r"""Computes how near similar pairs are, against all images that are dissimilar to the first.

    -log(e^{cos_ij / t} / \sum_{k: s_ik = 0} e^{cos_ik / t}) for a similar pair i, j.

    Args:
      u_BxL: Relaxed codes, any real numbers. Only their directions count.
      similar_BxB: bool, whether two images are similar.
      temperature: t.

    Returns:
      [B, B] in the dtype of u, which may be negative: the sum does not contain the pair itself. It
      is 0 where the pair is not similar.

    Raises:
      AssertionError: Shapes do not fit, or `similar_BxB` is not bool.

    References:
      rongchengtu1/UHSCM:UHSCM.py (Tu et al. 2023), with the same 0.00001 in the denominator, for
      images without any that is dissimilar.
    """
    chex.assert_rank(u_BxL, 2)
    chex.assert_shape(similar_BxB, (len(u_BxL), len(u_BxL)))
    chex.assert_type(similar_BxB, bool)
    unit_BxL = unit_rows(u_BxL)
    cosine_BxB = unit_BxL @ unit_BxL.T / temperature
    # Of the largest cosine, as e^{1 / t} may be infinite.
    log_sum_B = jax.nn.logsumexp(cosine_BxB, axis=1, where=~similar_BxB)
    log_others_Bx1 = jnp.logaddexp(log_sum_B, math.log(_SMALLEST_SUM))[:, None]
    return jnp.where(similar_BxB, log_others_Bx1 - cosine_BxB, 0)
