"""FDAH's closed forms: the regression W, and all bits of all codes B at once (Lin et al. 2021).

By eq. 9 the code b_i depends on the label y_i alone, so images with equal labels share a code. All
that belongs to images is therefore stored per *group* of equal labels (as many groups as classes
for single-label data), and a sum over n images is a sum over groups weighted by their counts. No
n x m matrix exists.

Matrices have one row per sample: labels Y [n, c], codes B [n, l], relaxed codes U of the queries
[m, l]. The paper has them transposed.

Shapes in names: K groups, C classes, M queries, L bits, R rows.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError
from jhash.solvers.label_groups import group_by_label, one_hot

# Number of (row, query) pairs whose affinities are in memory at a time: 32 MiB of float32.
_BLOCK_PAIRS = 1 << 23
# Added to the diagonal of Y'Y, as a share of its mean: see `solve_regression`.
_RIDGE = 1e-6


def solve_regression(
    labels: jax.Array | np.ndarray,
    codes: jax.Array | np.ndarray,
    query_outputs: jax.Array | np.ndarray,
    query_labels: jax.Array | np.ndarray,
    gamma1: float,
    gamma3: float,
) -> jax.Array:
    r"""Computes the W that minimizes eq. 4 for given U and B, by two linear solves.

    W = (Y'Y + ridge)^-1 (g1 Y' S~ U + g3 Y' B) (g1 U'U + g3 I)^-1, S~ = l (2 A - 1).

    Args:
      labels: Labels of the n database images, int [n] class ids or 0/1 [n, c].
      codes: Codes B of the database images, [n, bits] in {-1, +1}.
      query_outputs: Relaxed codes U of the m queries, float [m, bits]: tanh of the hash outputs.
      query_labels: Labels of the m queries, in the form of `labels`.
      gamma1: Weight of the similarity term.
      gamma3: Weight of the regression term, > 0.

    Returns:
      W, float32 [c, bits]. For class ids, c is 1 + the largest id of images and queries.

    Raises:
      InputError: There are no images or queries, no image has a label, labels do not fit what they
        belong to, values are NaN or infinite, or `gamma3` is not above 0.

    References:
      FDAH (Lin et al. 2021), eq. 7, which lacks the tilde of S~; the derivative of eq. 4 has it.
      Y'Y is singular when a class is absent or label columns are dependent, so 1e-6 of the mean of
      its diagonal is added to its diagonal (the ridge). The row of W of an absent class is then 0,
      and Y W is unchanged to rounding.
    """
    _check("codes", codes, "labels", labels)
    _check("query_outputs", query_outputs, "query_labels", query_labels)
    _check_width("query_outputs", query_outputs, "codes", codes)
    if not gamma3 > 0:
        raise InputError(f"gamma3: {gamma3} given; allowed: numbers above 0.")
    if np.ndim(labels) == 2 and not np.any(labels):
        raise InputError("labels: rows of zeros given; allowed: a label for at least one image.")
    num_classes = _count_classes(labels, query_labels)
    labels_KxC, group_index = group_by_label(labels, num_classes)
    counts = np.bincount(group_index, minlength=len(labels_KxC)).astype(np.float32)
    codes = jnp.asarray(codes, jnp.float32)
    code_sums = jax.ops.segment_sum(codes, group_index, num_segments=len(labels_KxC))
    query_labels = one_hot(query_labels, num_classes)
    return solve_group_regression(
        labels_KxC,
        counts,
        code_sums,
        jnp.asarray(query_outputs),
        query_labels,
        gamma1=gamma1,
        gamma3=gamma3,
    )


def solve_codes(
    labels: jax.Array | np.ndarray,
    w: jax.Array | np.ndarray,
    query_outputs: jax.Array | np.ndarray,
    query_labels: jax.Array | np.ndarray,
    gamma2: float,
    gamma3: float,
) -> jax.Array:
    """Computes the B that minimizes eq. 4 for given U and W: all bits of all images at once.

    B = sgn(g2 A~ U + g3 Y W), A~_ij = A_ij / tau_j, tau_j = the number of images similar to query
    j, sgn(0) = +1.

    Args:
      labels: Labels of the n database images, int [n] class ids or 0/1 [n, c].
      w: Regression W from labels to codes, float [c, bits].
      query_outputs: Relaxed codes U of the m queries, float [m, bits]: tanh of the hash outputs.
      query_labels: Labels of the m queries, in the form of `labels`.
      gamma2: Weight of the reconstruction term.
      gamma3: Weight of the regression term.

    Returns:
      int8 [n, bits] in {-1, +1}.

    Raises:
      InputError: There are no queries, labels do not fit what they belong to, or values are NaN or
        infinite, which have no sign.

    References:
      FDAH (Lin et al. 2021), eq. 9. The paper leaves sgn(0) open. A query to which no image is
      similar has tau = 0 and no influence. There is none when queries are training samples.
    """
    num_classes = len(w)
    _check("w", w)
    _check("query_outputs", query_outputs, "query_labels", query_labels)
    _check_width("query_outputs", query_outputs, "w", w)
    largest = max(np.max(labels, initial=0), np.max(query_labels, initial=0))
    if np.ndim(labels) == 1 and largest >= num_classes:
        raise InputError(
            f"w: {num_classes} rows given; allowed: {largest + 1} or more, one for every class."
        )
    labels_KxC, group_index = group_by_label(labels, num_classes)
    counts = np.bincount(group_index, minlength=len(labels_KxC)).astype(np.float32)
    codes = solve_group_codes(
        labels_KxC,
        labels_KxC,
        counts,
        jnp.asarray(w),
        jnp.asarray(query_outputs),
        one_hot(query_labels, num_classes),
        gamma2=gamma2,
        gamma3=gamma3,
    )
    return codes.astype(jnp.int8)[group_index]


def sign(x: jax.Array) -> jax.Array:
    """Returns the signs of a real array of any shape, float32 in {-1, +1}, with sgn(0) = +1."""
    return jnp.where(x >= 0, 1.0, -1.0)


def _check(name, values, labels_name="", labels=()):
    """Raises InputError unless values are finite, and one row for each of some labels."""
    values = np.asarray(values)
    if values.ndim != 2 or not len(values):
        raise InputError(
            f"{name}: shape {values.shape} given; allowed: [rows, bits], 1 row or more."
        )
    if labels_name and len(labels) != len(values):
        raise InputError(
            f"{labels_name}: {len(labels)} labels given; allowed: {len(values)}, one for each row "
            f"of {name}."
        )
    if not np.isfinite(values).all():
        raise InputError(f"{name}: NaN or infinity given; allowed: finite numbers.")


def _check_width(name, values, other, others):
    if np.shape(values)[1] != np.shape(others)[1]:
        raise InputError(
            f"{name}: {np.shape(values)[1]} bits given; allowed: {np.shape(others)[1]}, as in "
            f"{other}."
        )


def _count_classes(labels, query_labels):
    if np.ndim(labels) == 2:
        return np.shape(labels)[1]
    return int(max(np.max(labels), np.max(query_labels))) + 1


def sum_over_similar(
    rows_RxC: jax.Array, others_MxC: jax.Array, values_MxV: jax.Array
) -> jax.Array:
    """Computes A @ values [R, V] in blocks, A [R, M] = 1 where two label rows share a label."""

    def one_row(row_C):
        return (others_MxC @ row_C > 0).astype(values_MxV.dtype) @ values_MxV

    return jax.lax.map(one_row, rows_RxC, batch_size=max(1, _BLOCK_PAIRS // len(others_MxC)))


@functools.partial(jax.jit, static_argnames=("gamma1", "gamma3"))
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def solve_group_regression(
    labels_KxC: jax.Array,
    counts_K: jax.Array,
    code_sums_KxL: jax.Array,
    u_MxL: jax.Array,
    query_labels_MxC: jax.Array,
    *,
    gamma1: float,
    gamma3: float,
) -> jax.Array:
    """Computes `solve_regression` from groups of images with equal labels.

    Args:
      labels_KxC: Labels of the groups, float 0/1.
      counts_K: Number of images in each group.
      code_sums_KxL: Sum of the codes of each group's images.
      u_MxL: Relaxed codes of the queries: tanh of the hash outputs.
      query_labels_MxC: Labels of the queries, float 0/1.
      gamma1: Weight of the similarity term.
      gamma3: Weight of the regression term, > 0.

    Returns:
      W, float32 [C, L].
    """
    weighted_KxC = labels_KxC * counts_K[:, None]
    classes, bits = labels_KxC.shape[1], code_sums_KxL.shape[1]
    # Y' S~ U = l (2 Y' A U - (Y'1) (1'U)).
    similar_KxL = sum_over_similar(labels_KxC, query_labels_MxC, u_MxL)
    all_pairs_CxL = jnp.outer(weighted_KxC.sum(0), u_MxL.sum(0))
    target_CxL = bits * (2 * weighted_KxC.T @ similar_KxL - all_pairs_CxL)
    gram_CxC = weighted_KxC.T @ labels_KxC
    gram_CxC += _RIDGE * jnp.trace(gram_CxC) / classes * jnp.eye(classes)
    left_CxL = jnp.linalg.solve(
        gram_CxC, gamma1 * target_CxL + gamma3 * labels_KxC.T @ code_sums_KxL
    )
    return jnp.linalg.solve(gamma1 * u_MxL.T @ u_MxL + gamma3 * jnp.eye(bits), left_CxL.T).T


@functools.partial(jax.jit, static_argnames=("gamma2", "gamma3"))
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def solve_group_codes(
    rows_RxC: jax.Array,
    labels_KxC: jax.Array,
    counts_K: jax.Array,
    w: jax.Array,
    u_MxL: jax.Array,
    query_labels_MxC: jax.Array,
    *,
    gamma2: float,
    gamma3: float,
) -> jax.Array:
    """Computes the codes that eq. 9 gives to any label rows, as `solve_codes` does for images.

    Args:
      rows_RxC: Labels that get codes, float 0/1.
      labels_KxC: Labels of the database's groups, whose images tau counts, float 0/1.
      counts_K: Number of images in each group.
      w: Regression W from labels to codes, float [C, L].
      u_MxL: Relaxed codes of the queries: tanh of the hash outputs.
      query_labels_MxC: Labels of the queries, float 0/1.
      gamma2: Weight of the reconstruction term.
      gamma3: Weight of the regression term.

    Returns:
      float32 [R, L] in {-1, +1}.
    """
    tau_Mx1 = sum_over_similar(query_labels_MxC, labels_KxC, counts_K[:, None])
    pull_RxL = sum_over_similar(rows_RxC, query_labels_MxC, u_MxL / jnp.maximum(tau_Mx1, 1))
    return sign(gamma2 * pull_RxL + gamma3 * rows_RxC @ w)
