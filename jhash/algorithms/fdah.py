"""FDAH: fast deep asymmetric hashing (Lin, Lai, Lu, Zhou 2021).

The network encodes queries only; the database gets codes B of its own by regression from the
labels, B ~ sgn(Y W). An epoch of the loop is one outer iteration of ADSH's schedule: draw m queries
from the training set, pass over them `passes` times, then solve for W, then for all bits of B at
once.

Eq. 9 makes b_i a function of y_i alone, so images with equal labels share a code. Everything here
is therefore stored by *groups* of equal labels (as many as classes for single-label data), and the
sums over n images are sums over groups weighted by their counts; no n x m matrix exists.

Notation is row-major, samples first: labels Y [n, c], codes B [n, l], queries U [m, l].
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError
from jhash.losses import asymmetric

# Affinities are made for this many (label, query) pairs at a time (float32: 32 MB).
_BLOCK_PAIRS = 1 << 23
# Added to the diagonal of Y'Y, as a share of its mean: see `solve_regression`.
_RIDGE = 1e-6
# Candidates for each bit of the first class codes.
_CANDIDATES = 4096


def prepare(config, data, key):
    """First codes: class codes far apart, B = sgn(Y W), one group for each distinct label."""
    for name in ("passes", "gamma3"):
        if getattr(config.method, name) <= 0:
            given = getattr(config.method, name)
            raise InputError(f"config.method.{name}: {given} given; allowed is > 0.")
    if not 1 <= config.method.queries <= len(data.train):
        raise InputError(
            f"config.method.queries: {config.method.queries} given, but there are "
            f"{len(data.train)} training images; allowed are 1 to that many."
        )
    group_labels, group_index = group_labels_of(data.labels(data.train), data.num_classes)
    w = initial_class_codes(key, data.num_classes, config.bits)
    extra = {
        "w": w,
        "group_labels": group_labels,
        "group_counts": np.bincount(group_index, minlength=len(group_labels)).astype(np.float32),
        "group_codes": _sign(group_labels @ w),
    }
    return data, extra


def begin_epoch(config, data, extra, epoch, key):
    """Draws m queries from the training set, then shuffles them anew for each of the passes."""
    del extra, epoch
    draw_key, *pass_keys = jax.random.split(key, 1 + config.method.passes)
    drawn = jax.random.permutation(draw_key, len(data.train))[: config.method.queries]
    order = jnp.concatenate([jax.random.permutation(pass_key, drawn) for pass_key in pass_keys])
    return data.train[np.asarray(order)]


def loss(outputs, batch, extra, config):
    """Eq. 4 as a function of the network: the mean over batch, database images and bits.

    Dividing the paper's sum by (queries * n * bits) changes the scale of the learning rate, not the
    minimum; the term without the network's outputs is left out.
    """
    labels, counts = extra["group_labels"], extra["group_counts"]
    similar = asymmetric.affinity(one_hot(batch["labels"], labels.shape[1]), labels)
    u = jnp.tanh(outputs)
    similarity = asymmetric.inner_product_loss(u, labels @ extra["w"], similar, counts)
    reconstruction = asymmetric.reconstruction_loss(u, extra["group_codes"], similar, counts)
    pairs = u.size * counts.sum()
    terms = {
        "similarity": config.method.gamma1 * similarity.sum() / pairs,
        "reconstruction": config.method.gamma2 * reconstruction.sum() / pairs,
    }
    return terms["similarity"] + terms["reconstruction"], terms


def end_epoch(config, data, extra, indices, encode):
    """Closed-form W (eq. 7), then B (eq. 9), with the drawn queries encoded by the present network.

    ADSH's public code keeps the outputs seen *during* the passes; encoding again costs one forward
    pass over m images and makes W and B optimal for the network as it is.
    """
    method, drawn = config.method, np.unique(indices)
    labels, counts, old_codes = (
        extra[name] for name in ("group_labels", "group_counts", "group_codes")
    )
    u = jnp.tanh(encode(drawn))
    query_labels = one_hot(data.labels(drawn), data.num_classes)
    code_sums = counts[:, None] * old_codes
    w = _regression(
        labels, counts, code_sums, u, query_labels, gamma1=method.gamma1, gamma3=method.gamma3
    )
    # With B, the codes that an image of one class alone would get (B's own, if single-label) and
    # those of the drawn queries.
    rows = jnp.concatenate([labels, jnp.eye(data.num_classes), query_labels])
    codes = _codes(
        rows, labels, counts, w, u, query_labels, gamma2=method.gamma2, gamma3=method.gamma3
    )
    ends = np.cumsum([len(labels), data.num_classes])
    codes, class_codes, query_codes = jnp.split(codes, ends)
    distinct, least = code_separation(class_codes)
    metrics = {
        "changed_bits": jnp.average((codes != old_codes).mean(1), weights=counts),
        "distinct_class_codes": distinct,
        "least_class_distance": least,
        # Bits in which a query's output and its learned code disagree: see configs/fdah.py.
        "query_bit_errors": jnp.mean(_sign(u) != query_codes),
    }
    return {**extra, "w": w, "group_codes": codes}, metrics


def learned_codes(config, data, extra):
    """B, int8 [n, bits] in {-1, +1}, if the database is the training set (as in the paper)."""
    del config
    if not np.array_equal(np.sort(data.database), np.sort(data.train)):
        return None
    _, group_index = group_labels_of(data.labels(data.database), data.num_classes)
    return np.asarray(extra["group_codes"], np.int8)[group_index]


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
    group_labels, group_index = group_labels_of(labels, num_classes)
    counts = np.bincount(group_index, minlength=len(group_labels)).astype(np.float32)
    codes = jnp.asarray(codes, jnp.float32)
    code_sums = jax.ops.segment_sum(codes, group_index, num_segments=len(group_labels))
    query_labels = one_hot(query_labels, num_classes)
    return _regression(
        group_labels,
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
    group_labels, group_index = group_labels_of(labels, num_classes)
    counts = np.bincount(group_index, minlength=len(group_labels)).astype(np.float32)
    codes = _codes(
        group_labels,
        group_labels,
        counts,
        jnp.asarray(w),
        jnp.asarray(query_outputs),
        one_hot(query_labels, num_classes),
        gamma2=gamma2,
        gamma3=gamma3,
    )
    return codes.astype(jnp.int8)[group_index]


@functools.partial(jax.jit, static_argnames=("classes", "bits"))
@jax.default_matmul_precision("highest")
def initial_class_codes(key, classes, bits):
    """Class codes that are far apart, with every bit +1 for half of the classes.

    The paper does not say how W and B start. With a random W the class codes sgn(W) of ten classes
    can coincide at 12 bits, and images of two classes then share codes for good. Balance matters as
    much as distance: most pairs are dissimilar, so where a bit has one sign for most classes, the
    similarity term pulls the outputs of *all* images to the other sign, away from their codes.

    Args:
      key: PRNG key.
      classes: Number of codes.
      bits: Code length.

    Returns:
      float32 [classes, bits] in {-1, +1}. Bits are chosen one after another among 4,096 random
      balanced ones (fewer from 65 classes on, to save memory), each time that with the least sum
      over pairs of classes of 2^-distance, so that it separates the classes that are closest.
    """
    pairs = max(1, classes * (classes - 1) // 2)
    pool = max(64, min(_CANDIDATES, _BLOCK_PAIRS // pairs))
    rank_key, sign_key = jax.random.split(key)
    ranks = jnp.argsort(jax.random.uniform(rank_key, (pool, classes)), axis=1)
    signs = jax.random.rademacher(sign_key, (pool, 1), jnp.float32)
    candidates = signs * jnp.where(ranks < classes // 2, -1.0, 1.0)
    first, second = np.triu_indices(classes, 1)
    separates = (candidates[:, first] != candidates[:, second]).astype(jnp.float32)

    def choose(weights, _):
        best = jnp.argmin(weights @ (1 - separates.T / 2))
        weights = weights * (1 - separates[best] / 2)
        return weights / weights.max(initial=1e-30), candidates[best]

    return jax.lax.scan(choose, jnp.ones(len(first)), length=bits)[1].T


@jax.jit
def code_separation(codes):
    """How many rows of +-1 codes [c, bits] are distinct, and the least distance between two rows.

    Returns:
      (int32 number of distinct rows, float32 least Hamming distance, 0 if two rows are equal).
    """
    distance = (codes.shape[1] - codes @ codes.T) / 2
    earlier = jnp.tril(distance == 0, -1).any(1)
    off_diagonal = jnp.where(jnp.eye(len(codes), dtype=bool), jnp.inf, distance)
    return jnp.sum(~earlier), jnp.min(off_diagonal, initial=codes.shape[1])


def group_labels_of(labels, num_classes):
    """The distinct label vectors and each image's place among them.

    Args:
      labels: int [n] class ids or 0/1 [n, c].
      num_classes: c.

    Returns:
      (float32 0/1 [K, c], int [n] in 0..K-1). For class ids the groups are the classes, absent
      ones included.
    """
    labels = np.asarray(labels)
    if labels.ndim == 1:
        return np.eye(num_classes, dtype=np.float32), labels
    packed = np.ascontiguousarray(np.packbits(labels.astype(bool), axis=1))
    rows = packed.view(np.dtype((np.void, packed.shape[1])))[:, 0]
    _, first, index = np.unique(rows, return_index=True, return_inverse=True)
    return labels[first].astype(np.float32), index


def one_hot(labels, num_classes):
    """Class ids [n] or 0/1 [n, c] as float32 0/1 [n, c]."""
    labels = jnp.asarray(labels)
    if labels.ndim == 1:
        return jax.nn.one_hot(labels, num_classes)
    return labels.astype(jnp.float32)


def _count_classes(labels, query_labels):
    if np.ndim(labels) == 2:
        return np.shape(labels)[1]
    return int(max(np.max(labels), np.max(query_labels))) + 1


def _sign(x):
    return jnp.where(x >= 0, 1.0, -1.0)


def _sum_over_similar(rows_RxC, others_MxC, values_MxV):
    """A @ values, [R, V], where A = 1 if a row and another share a label; makes blocks of A."""

    def one_row(row_C):
        return (others_MxC @ row_C > 0).astype(values_MxV.dtype) @ values_MxV

    return jax.lax.map(one_row, rows_RxC, batch_size=max(1, _BLOCK_PAIRS // len(others_MxC)))


@functools.partial(jax.jit, static_argnames=("gamma1", "gamma3"))
@jax.default_matmul_precision("highest")  # GPUs would round the factors to TF32.
def _regression(labels_KxC, counts_K, code_sums_KxL, u_MxL, query_labels_MxC, *, gamma1, gamma3):
    """`solve_regression` on groups, each with the sum of its images' codes."""
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
def _codes(rows_RxC, labels_KxC, counts_K, w, u_MxL, query_labels_MxC, *, gamma2, gamma3):
    """Eq. 9 for images labelled `rows`, with tau counted over the database's groups."""
    tau_Mx1 = _sum_over_similar(query_labels_MxC, labels_KxC, counts_K[:, None])
    pull_RxL = _sum_over_similar(rows_RxC, query_labels_MxC, u_MxL / jnp.maximum(tau_Mx1, 1))
    return _sign(gamma2 * pull_RxL + gamma3 * rows_RxC @ w)
