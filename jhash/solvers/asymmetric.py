"""FDAH's closed forms: W, and all bits of all codes B at once (Lin, Lai, Lu, Zhou 2021).

Eq. 9 makes a code b_i a function of the label y_i alone, so images with equal labels share a code.
Everything is therefore stored by *groups* of equal labels (as many as classes for single-label
data), and the sums over n images are sums over groups weighted by their counts; no n x m matrix
exists.

Notation is row-major, samples first: labels Y [n, c], codes B [n, l], queries U [m, l]. Shapes in
names: K groups, C classes, M queries, L bits, R rows.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jhash.solvers.label_groups import group_by_label, one_hot

# Affinities are made for this many (label, query) pairs at a time (float32: 32 MB).
_BLOCK_PAIRS = 1 << 23
# Added to the diagonal of Y'Y, as a share of its mean: see `solve_regression`.
_RIDGE = 1e-6


def solve_regression(labels, codes, query_outputs, query_labels, gamma1, gamma3):
    r"""The W that minimises eq. 4 for given U and B, by two linear solves.

    W = (Y'Y + ridge)^-1 (g1 Y' S~ U + g3 Y' B) (g1 U'U + g3 I)^-1, S~ = l (2 A - 1).

    Args:
      labels: Of the n database images, int [n] class ids or 0/1 [n, c].
      codes: B, [n, bits] in {-1, +1}.
      query_outputs: U, float [m, bits], tanh of the network's outputs.
      query_labels: Of the m queries, in the form of `labels`.
      gamma1: Weight of the similarity term.
      gamma3: Weight of the regression term, > 0.

    Returns:
      W, float32 [c, bits]; c is the number of columns, or 1 + the largest class id.

    References:
      FDAH eq. 7, which drops the tilde of S~; the derivative of eq. 4 has it. Y'Y is singular when
      a class is absent or label columns are dependent, so 1e-6 of the mean of its diagonal is added
      to its diagonal: an absent class gets W = 0, and Y W is unchanged to rounding.
    """
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


def solve_codes(labels, w, query_outputs, query_labels, gamma2, gamma3):
    """The B that minimises eq. 4 for given U and W: all bits of all images at once.

    B = sgn(g2 A~ U + g3 Y W), A~_ij = A_ij / tau_j, sgn(0) = +1.

    Args:
      labels: Of the n database images, int [n] class ids or 0/1 [n, c].
      w: float [c, bits].
      query_outputs: U, float [m, bits], tanh of the network's outputs.
      query_labels: Of the m queries, in the form of `labels`.
      gamma2: Weight of the reconstruction term.
      gamma3: Weight of the regression term.

    Returns:
      int8 [n, bits] in {-1, +1}.

    References:
      FDAH eq. 9. The paper leaves sgn(0) open. A query to which no image is similar (not possible
      when queries are training samples) has tau = 0 and no influence.
    """
    num_classes = len(w)
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


def sign(x):
    """The signs of a real array of any shape, float32 in {-1, +1}, with sgn(0) = +1."""
    return jnp.where(x >= 0, 1.0, -1.0)


def _count_classes(labels, query_labels):
    if np.ndim(labels) == 2:
        return np.shape(labels)[1]
    return int(max(np.max(labels), np.max(query_labels))) + 1


def _sum_over_similar(rows_RxC, others_MxC, values_MxV):
    """A @ values, [R, V], where A = 1 if a row and another share a label; makes blocks of A."""

    def one_row(row_C):
        return (others_MxC @ row_C > 0).astype(values_MxV.dtype) @ values_MxV

    return jax.lax.map(one_row, rows_RxC, batch_size=max(1, _BLOCK_PAIRS // len(others_MxC)))


@functools.partial(jax.jit, static_argnames=("gamma1", "gamma3"))
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def solve_group_regression(
    labels_KxC, counts_K, code_sums_KxL, u_MxL, query_labels_MxC, *, gamma1, gamma3
):
    """Computes `solve_regression` from groups of equally labeled images.

    Args:
      labels_KxC: float 0/1 labels of the groups.
      counts_K: Images per group.
      code_sums_KxL: Sum of the codes of each group's images.
      u_MxL: As `query_outputs`.
      query_labels_MxC: float 0/1 labels of the queries.
      gamma1: Weight of the similarity term.
      gamma3: Weight of the regression term, > 0.

    Returns:
      W, float32 [C, L].
    """
    weighted_KxC = labels_KxC * counts_K[:, None]
    classes, bits = labels_KxC.shape[1], code_sums_KxL.shape[1]
    # Y' S~ U = l (2 Y' A U - (Y'1) (1'U)).
    similar_KxL = _sum_over_similar(labels_KxC, query_labels_MxC, u_MxL)
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
    rows_RxC, labels_KxC, counts_K, w, u_MxL, query_labels_MxC, *, gamma2, gamma3
):
    """Computes the codes of eq. 9 for any label rows.

    Args:
      rows_RxC: float 0/1 labels of the images that get codes.
      labels_KxC: float 0/1 labels of the database's groups, over which tau counts.
      counts_K: Images per group.
      w: float [C, L].
      u_MxL: tanh of the outputs of the queries.
      query_labels_MxC: float 0/1 labels of the queries.
      gamma2: Weight of the reconstruction term.
      gamma3: Weight of the regression term.

    Returns:
      float32 [R, L] in {-1, +1}.
    """
    tau_Mx1 = _sum_over_similar(query_labels_MxC, labels_KxC, counts_K[:, None])
    pull_RxL = _sum_over_similar(rows_RxC, query_labels_MxC, u_MxL / jnp.maximum(tau_Mx1, 1))
    return sign(gamma2 * pull_RxL + gamma3 * rows_RxC @ w)
