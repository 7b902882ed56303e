"""Pairwise losses: every image of a batch against every other, similar or not by its labels.

Shapes in names: B images of the (global) batch, N other images, L bits, C classes.
"""

import functools

import chex
import jax
import jax.numpy as jnp

from jhash import forms
from jhash.losses import per_image

# Three readings of DAH's eq. 2 for dissimilar pairs, see `log_distance_loss`. The first two have
# the sub-gradient 0 at their kink.
DISSIMILAR = {"hinge": jax.nn.relu, "abs": jnp.abs, "printed": lambda shortfall: shortfall}
# What is added to distances before their logarithm, in bits.
_SMALLEST_DISTANCE = 1e-3
# The length below which rows are not brought to length 1.
_SHORTEST = 1e-3


@jax.jit
def similar(labels: jax.Array, others: jax.Array | None = None) -> jax.Array:
    """Computes S: True for two images that share at least one label.

    Args:
      labels: int [B] class ids or 0/1 [B, C], of the images of the batch.
      others: int [N] class ids or 0/1 [N, C] of other images, with which those of the batch are
        compared. By default they are compared with each other.

    Returns:
      bool [B, N]. Within a batch it is symmetric, and the diagonal is True, except for images
      without any label.

    Raises:
      AssertionError: `labels` have neither one nor two axes, or `others` have another number.

    References:
      DAH (Li et al. 2020), eq. 3.
    """
    chex.assert_rank(labels, {1, 2})
    others = labels if others is None else others
    chex.assert_equal_rank([labels, others])
    if labels.ndim == 1:
        return labels[:, None] == others
    labels_BxC = labels.astype(jnp.float32)
    return labels_BxC @ others.astype(jnp.float32).T > 0


@forms.jit(static_argnames="dissimilar")
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

    # The logarithms do not factorize, so each image is compared with the batch, in L x B arrays.
    # The backward pass computes these again instead of keeping those of all images. (A loop over
    # bits takes twice as long on a CPU.) The squares are taken of the same differences
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

    sum_BxB = per_image.map_images(sum_over_bits, (x_BxL, similar_BxB), x_BxL.size)
    shortfall_BxB = jnp.asarray(threshold, x_BxL.dtype) + sum_BxB
    return jnp.where(similar_BxB, sum_BxB, DISSIMILAR[dissimilar](shortfall_BxB))


@functools.partial(jax.jit, static_argnames="margin")
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def likelihood_loss(
    u_BxL: jax.Array,
    similar_BxN: jax.Array,
    *,
    scale: float | jax.Array = 0.5,
    margin: float = 0.0,
    others_NxL: jax.Array | None = None,
) -> jax.Array:
    r"""Computes the negative log-likelihood of each pair's S.

    -(s_ij beta_ij - log(1 + e^{beta_ij})), beta_ij = scale u_i . u_j: a pair is similar with
    probability sigmoid(beta_ij). With a margin m, log(1 + e^{m - beta_ij}) where i and j are
    similar and log(1 + e^{m + beta_ij}) where they are not, so that pairs go on being pushed until
    they are on the right side by about m.

    Args:
      u_BxL: Relaxed codes, any real numbers; bit = u > 0.
      similar_BxN: bool, from `similar`.
      scale: Factor of the inner products.
      margin: m.
      others_NxL: Relaxed codes of other images, with which those of the batch form the pairs, such
        as a table of earlier outputs. By default the images of the batch form pairs with each
        other, and N is B.

    Returns:
      [B, N] in the dtype of u, one value per ordered pair, at least 0. Within a batch the diagonal
      is no pair. Use the mean (`mean_over_pairs`) where the paper has the sum: there are B - 1
      times as many pairs as images, so a sum's weight against a term over images would depend on
      the batch size.

    Raises:
      AssertionError: Shapes do not fit, or `similar_BxN` is not bool (an S in -1, 1 would be true
        everywhere).

    References:
      AIHN (Li et al. 2020), eq. 7, which prints beta with the binary b = sgn(u). The sign function
      has no useful gradient, so beta uses u itself, as does DPSH (Li, Wang and Kang 2016), from
      which the loss comes. HashNet (Cao et al. 2017) has another scale, DFH (Li et al. 2019) the
      margin.
    """
    others_NxL = u_BxL if others_NxL is None else others_NxL
    chex.assert_rank([u_BxL, others_NxL], 2)
    chex.assert_shape(similar_BxN, (u_BxL.shape[0], others_NxL.shape[0]))
    chex.assert_type(similar_BxN, bool)
    beta_BxN = scale * (u_BxL @ others_NxL.T)
    # log(1 + e^beta) - beta = log(1 + e^-beta), so no difference of large numbers is needed.
    wrong_BxN = jnp.where(similar_BxN, -beta_BxN, beta_BxN)
    return jax.nn.softplus(wrong_BxN + margin if margin else wrong_BxN)


@functools.partial(jax.jit, static_argnames="margin")
def contrastive_loss(u_BxL: jax.Array, similar_BxB: jax.Array, *, margin: float) -> jax.Array:
    r"""Pulls similar pairs together, and pushes dissimilar ones apart up to a margin.

    d_ij / 2 where i and j are similar, else max(0, m - d_ij) / 2, d_ij = ||u_i - u_j||^2.

    Args:
      u_BxL: Relaxed codes, any real numbers.
      similar_BxB: bool, from `similar`.
      margin: m, the squared distance that dissimilar pairs should have. Codes of -1 and +1 that
        differ in one bit have the squared distance 4.

    Returns:
      [B, B] in the dtype of u, symmetric up to rounding, at least 0. The diagonal is no pair.

    Raises:
      AssertionError: Shapes do not fit, or `similar_BxB` is not bool.

    References:
      DSH (Liu, Wang, Shan and Chen 2016);
      lhmRyan/deep-supervised-hashing-DSH:src/caffe/layers/hashing_loss_layer.cpp of its authors.
    """
    _check_pairs(u_BxL, similar_BxB)
    distance_BxB = squared_distances(u_BxL)
    return jnp.where(similar_BxB, distance_BxB, jax.nn.relu(margin - distance_BxB)) / 2


@functools.partial(jax.jit, static_argnames="gamma")
@jax.default_matmul_precision("highest")
def cauchy_loss(u_BxL: jax.Array, similar_BxB: jax.Array, *, gamma: float) -> jax.Array:
    r"""Computes the cross-entropy of S, where the probability falls with the distance like 1 / d.

    s_ij log(d_ij / gamma) + log(1 + gamma / d_ij): a pair is similar with probability
    gamma / (gamma + d_ij). d_ij = L / 2 (1 - cos(u_i, u_j)) is the Hamming distance of codes.

    Args:
      u_BxL: Relaxed codes, any real numbers. Only their directions count.
      similar_BxB: bool, from `similar`.
      gamma: The distance at which a pair is similar with probability 1/2.

    Returns:
      [B, B] in the dtype of u, symmetric up to rounding, at least 0. The diagonal is no pair.

    Raises:
      AssertionError: Shapes do not fit, or `similar_BxB` is not bool.

    References:
      DCH (Cao, Long, Liu and Wang 2018), eqs. 6 and 8. A dissimilar pair of equal directions would
      have an infinite loss, so 0.001 is added to every distance. (Public code bounds the cosine by
      0.99 instead, which takes the gradient from the very pairs that need it most.)
    """
    _check_pairs(u_BxL, similar_BxB)
    unit_BxL = unit_rows(u_BxL)
    distance_BxB = u_BxL.shape[1] / 2 * (1 - unit_BxL @ unit_BxL.T) + _SMALLEST_DISTANCE
    return jnp.log1p(jnp.where(similar_BxB, distance_BxB / gamma, gamma / distance_BxB))


@functools.partial(jax.jit, static_argnames="cosine")
@jax.default_matmul_precision("highest")
def difference_loss(u_BxL: jax.Array, target_BxB: jax.Array, *, cosine: bool = False) -> jax.Array:
    r"""Computes the squared error of inner products against given similarities.

    (u_i . u_j / L - t_ij)^2, or with `cosine` (cos(u_i, u_j) - t_ij)^2.

    Args:
      u_BxL: Relaxed codes, in [-1, 1] unless `cosine`.
      target_BxB: t, real numbers in [-1, 1].
      cosine: Whether the inner products are divided by the lengths of u_i and u_j and not by L.

    Returns:
      [B, B] in the dtype of u. The diagonal is no pair.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      KSH (Liu et al. 2012), on relaxed codes; yangerkun/IJCAI2018_SSDH:main.py (Yang et al. 2018).
    """
    chex.assert_rank(u_BxL, 2)
    chex.assert_shape(target_BxB, (u_BxL.shape[0], u_BxL.shape[0]))
    x_BxL = unit_rows(u_BxL) if cosine else u_BxL
    product_BxB = x_BxL @ x_BxL.T
    return jnp.square((product_BxB if cosine else product_BxB / u_BxL.shape[1]) - target_BxB)


@jax.jit
def halves_loss(u_BxL: jax.Array, x_Bxz: jax.Array) -> jax.Array:
    r"""Computes the squared errors of cosines against those of features, of disjoint pairs.

    (cos(u_i, u_j) - cos(x_i, x_j))^2, where j = i + B / 2: each image is in a single pair.

    Args:
      u_BxL: Relaxed codes, any real numbers.
      x_Bxz: Features of the same images, any real numbers.

    Returns:
      [B / 2] in the dtype of u.

    Raises:
      AssertionError: The numbers of images differ or are odd.

    References:
      GreedyHash without labels (Su et al. 2018), ssppp/GreedyHash:unsupervised_vgg.py, and BiHalf
      (Li and van Gemert 2021). Pairs that share no image are independent, but there are B - 1 times
      as many others; `difference_loss` with the cosines of features as its target has all.
    """
    chex.assert_equal_shape_prefix([u_BxL, x_Bxz], 1)
    half, odd = divmod(len(u_BxL), 2)
    chex.assert_equal(odd, 0)
    cosine_H, target_H = (
        (unit_rows(values[:half]) * unit_rows(values[half:])).sum(1) for values in (u_BxL, x_Bxz)
    )
    return jnp.square(cosine_H - target_H)


@functools.partial(jax.jit, static_argnames=("scale", "gamma"))
@jax.default_matmul_precision("highest")
def soft_likelihood_loss(
    u_BxL: jax.Array, similarity_BxB: jax.Array, *, scale: float, gamma: float
) -> jax.Array:
    r"""Computes the likelihood where the similarity is none or full, else a squared error.

    Where s_ij < 0.01 or s_ij > 0.99 it is log(1 + e^{t_ij}) - s_ij t_ij, t_ij = scale u_i . u_j,
    else gamma L ((u_i . u_j + L) / (2 L) - s_ij)^2.

    Args:
      u_BxL: Relaxed codes, in [-1, 1].
      similarity_BxB: s, real numbers in [0, 1], such as `label_cosine`.
      scale: Factor of the inner products in the likelihood.
      gamma: Weight of the squared error.

    Returns:
      [B, B] in the dtype of u, at least 0. The diagonal is no pair.

    Raises:
      AssertionError: Shapes do not fit.

    References:
      IDHN (Zhang et al. 2019); pectinid16/IDHN:train.py of its authors.
    """
    chex.assert_rank(u_BxL, 2)
    chex.assert_shape(similarity_BxB, (u_BxL.shape[0], u_BxL.shape[0]))
    bits = u_BxL.shape[1]
    product_BxB = u_BxL @ u_BxL.T
    t_BxB = scale * product_BxB
    # log(1 + e^t) - s t without a difference of large numbers.
    hard_BxB = (1 - similarity_BxB) * jax.nn.softplus(t_BxB)
    hard_BxB += similarity_BxB * jax.nn.softplus(-t_BxB)
    soft_BxB = gamma * bits * jnp.square((product_BxB / bits + 1) / 2 - similarity_BxB)
    return jnp.where((similarity_BxB < 0.01) | (similarity_BxB > 0.99), hard_BxB, soft_BxB)


@jax.jit
@jax.default_matmul_precision("highest")
def label_cosine(labels: jax.Array) -> jax.Array:
    """Computes how similar the labels of two images are: the cosine of their rows of 0/1.

    Args:
      labels: int [B] class ids or 0/1 [B, C].

    Returns:
      float32 [B, B] in [0, 1], symmetric. An image without any label has 0 with every image.

    Raises:
      AssertionError: `labels` have neither one nor two axes.

    References:
      IDHN (Zhang et al. 2019); pectinid16/IDHN:train.py of its authors.
    """
    chex.assert_rank(labels, {1, 2})
    if labels.ndim == 1:
        return similar(labels).astype(jnp.float32)
    labels_BxC = labels.astype(jnp.float32)
    counts_B = labels_BxC.sum(1)
    # Division by one square root makes the cosine of equal rows exactly 1.
    norms_BxB = jnp.sqrt(jnp.maximum(counts_B[:, None] * counts_B, 1))
    return labels_BxC @ labels_BxC.T / norms_BxB


@jax.jit
def imbalance_weights(similar_BxB: jax.Array) -> jax.Array:
    """Computes weights of pairs with which similar and dissimilar ones have the same total weight.

    The number of all pairs over that of the similar pairs where a pair is similar, and over that of
    the dissimilar pairs where it is not.

    Args:
      similar_BxB: bool, from `similar`.

    Returns:
      float32 [B, B]. The diagonal is no pair and is not counted. If all pairs are of one kind, all
      weights are 1.

    Raises:
      AssertionError: `similar_BxB` is not bool, or not square.

    References:
      HashNet (Cao et al. 2017) and DCH (Cao et al. 2018), eq. 2. HashNet has a further factor for
      several labels, the share of all labels of a pair that its images have in common. It is left
      out here, as in the code of the paper: it would be 0 for every dissimilar pair.
    """
    chex.assert_type(similar_BxB, bool)
    batch = len(similar_BxB)
    chex.assert_shape(similar_BxB, (batch, batch))
    pairs = batch * _others(batch)
    similar_pairs = similar_BxB.sum(where=~jnp.eye(batch, dtype=bool))
    counts_BxB = jnp.where(similar_BxB, similar_pairs, pairs - similar_pairs)
    return pairs / jnp.maximum(counts_BxB, 1).astype(jnp.float32)


@jax.jit
@jax.default_matmul_precision("highest")
def squared_distances(u_BxL: jax.Array) -> jax.Array:
    """Computes ||u_i - u_j||^2 of all pairs, by the Gram matrix.

    Args:
      u_BxL: Any real numbers.

    Returns:
      [B, B] in the dtype of u, at least 0. Pairs much closer than their distance from 0 lose
      digits, but their gradient 2 (u_i - u_j) does not.
    """
    chex.assert_rank(u_BxL, 2)
    gram_BxB = u_BxL @ u_BxL.T
    norms_B = jnp.square(u_BxL).sum(1)
    distance_BxB = norms_B[:, None] + norms_B - 2 * gram_BxB
    # Rounding may give less than 0. The gradient is kept there, unlike that of a maximum.
    return distance_BxB + jax.lax.stop_gradient(jax.nn.relu(-distance_BxB))


@jax.jit
def unit_rows(u_BxL: jax.Array) -> jax.Array:
    """Divides rows by their lengths; rows shorter than 0.001 are divided by 0.001.

    Args:
      u_BxL: Any real numbers.

    Returns:
      [B, L] in the dtype of u. Values and gradients are finite at 0, too.
    """
    chex.assert_rank(u_BxL, 2)
    squares_Bx1 = jnp.square(u_BxL).sum(1, keepdims=True)
    return u_BxL * jax.lax.rsqrt(jnp.maximum(squares_Bx1, _SHORTEST**2))


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
def mean_over_pairs(values_BxB: jax.Array, weights_BxB: jax.Array | None = None) -> jax.Array:
    """Averages over the B (B - 1) ordered pairs i != j.

    Args:
      values_BxB: One value per ordered pair; the diagonal is ignored.
      weights_BxB: Weights of the pairs, not negative; by default all pairs count alike.

    Returns:
      Scalar in the dtype of the values: with weights, the sum of weight times value over the sum of
      weights, and 0 if all weights are 0.

    Raises:
      ValueError: The batch has fewer than two images.

    References:
      DAH (Li et al. 2020), eq. 6, whose A_{2n}^2 = 2n (2n - 1) counts these pairs.
    """
    batch = len(values_BxB)
    chex.assert_shape(values_BxB, (batch, batch))
    pairs = batch * _others(batch)
    others_BxB = ~jnp.eye(batch, dtype=bool)
    if weights_BxB is None:
        return values_BxB.sum(where=others_BxB) / pairs
    chex.assert_equal_shape([values_BxB, weights_BxB])
    total = weights_BxB.sum(where=others_BxB)
    total = jnp.where(total > 0, total, 1)
    return ((values_BxB * weights_BxB).sum(where=others_BxB) / total).astype(values_BxB.dtype)


def _check_pairs(u_BxL, similar_BxB):
    chex.assert_rank(u_BxL, 2)
    chex.assert_shape(similar_BxB, (u_BxL.shape[0], u_BxL.shape[0]))
    chex.assert_type(similar_BxB, bool)


def _others(batch: int) -> int:
    """Returns the number of other images with which each image forms a pair."""
    if batch < 2:
        raise ValueError(f"batch: {batch} given; allowed: 2 images or more, to form pairs.")
    return batch - 1
