"""ADSH: asymmetric deep supervised hashing (Jiang and Li 2018).

Source: the paper, and jiangqy/ADSH-AAAI2018 by its authors. The model is meant for queries only.
The training images, which are the database, have codes V of their own, learned bit by bit. An epoch
is an outer iteration of the paper's: draw m training images as queries, train on them in several
passes, then improve V with one sweep of discrete coordinate descent.

The objective is sum_ij (u_i . v_j - l S_ij)^2 + gamma sum_i ||v_i - u_i||^2 over queries i and
images j, u = tanh of the hash outputs. Both terms are divided by m n l here, so that gamma is the
published 200. S depends on labels alone, so sums over j are sums over groups of equal labels, and
no m x n matrix exists.

S: similar pairs are 1. Dissimilar pairs are -1 in the paper (`dissimilar = "minus_one"`), and in
the authors' code -r with r = similar pairs / dissimilar pairs, so that the sum of S is 0
(`"balanced"`, the default). Their r is that of the drawn queries, here it is that of the training
set. With -1 and many classes all u are drawn to one point.

The first V: both official programs start with 0, so that their first iteration draws u to 0 and no
more. Here V starts with class codes that are far apart, as FDAH does. In their MATLAB program the
linear term of the step of V has sgn(u) and the quadratic one u; here both have u, as in the paper.

sgn(0) of V leaves a bit as it is; in the first V it is +1, where class codes cancel out. The
database's learned codes are V, which know the labels of the database; those that the model gives
are evaluated beside them.
"""

import jax.numpy as jnp
import numpy as np

from jhash import config_fields
from jhash.losses import asymmetric
from jhash.methods import labels, training_rows
from jhash.solvers import dcc
from jhash.solvers.asymmetric import sign, sum_over_similar
from jhash.solvers.class_codes import initial_class_codes
from jhash.solvers.label_groups import group_by_label, one_hot

DISSIMILAR = ("balanced", "minus_one")
FIELDS = {
    "queries": config_fields.integer(1),
    "passes": config_fields.integer(1, 1000),
    "gamma": config_fields.number(),
    "sweeps": config_fields.integer(1, 1000),
    "dissimilar": config_fields.choice(*DISSIMILAR),
}


def prepare(config, data, key):
    """Makes the groups of equal labels and the first V.

    The state has per group its `group_labels` [K, C] in {0, 1}, its number of images `counts` [K],
    and `code_sums` [K, bits]; of V the `codes`, int8 [n, bits], and the `gram` V'V [bits, bits];
    `groups`, int32 [n], and `rows`, int32, the row of each image of the source in these; and S of a
    dissimilar pair, `dissimilar`.
    """
    labels.check(config, data)
    group_labels, groups = group_by_label(data.labels(data.train), data.num_classes)
    counts = np.bincount(groups, minlength=len(group_labels)).astype(np.float32)
    w = initial_class_codes(key, data.num_classes, config.bits)
    codes = np.asarray(sign(group_labels @ w), np.int8)[groups]
    state = {
        "group_labels": group_labels,
        "counts": counts,
        "groups": groups.astype(np.int32),
        "rows": training_rows.rows(data),
        "dissimilar": np.asarray(_dissimilar(config, group_labels, counts), np.float32),
    }
    return data, {**state, **_summarize(codes, state)}


def begin_epoch(config, data, state, epoch, key):
    """Draws m training images, or all of them, and shuffles them for each pass."""
    del state, epoch
    return training_rows.draw(data.train, config.method.queries, config.method.passes, key)


def loss(outputs, batch, state, config):
    """Computes the objective as a mean over queries of the batch, database images and bits."""
    group_labels, counts = state["group_labels"], state["counts"]
    similar = asymmetric.affinity(one_hot(batch["labels"], group_labels.shape[1]), group_labels)
    s_BxK = jnp.where(similar > 0, 1.0, state["dissimilar"])
    u = jnp.tanh(outputs)
    inner_products_B = asymmetric.code_loss(u, state["gram"], state["code_sums"], s_BxK, counts)
    distances = jnp.square(state["codes"][state["rows"][batch["index"]]] - u)
    pairs = u.size * counts.sum()
    terms = {
        "similarity": inner_products_B.sum() / pairs,
        "reconstruction": config.method.gamma * distances.sum() / pairs,
    }
    return terms["similarity"] + terms["reconstruction"], terms


def end_epoch(config, data, state, indices, encode):
    """Improves V by sweeps over its bits, given the model's outputs for the drawn queries.

    The objective over V is tr(V U'U V') - 2 tr(V Q'), where Q = l S'U + gamma U_bar, and U_bar has
    u_i in the row of query i and 0 in all others.
    """
    drawn = np.unique(indices)
    u = jnp.tanh(encode(drawn))
    query_labels = one_hot(data.labels(drawn), data.num_classes)
    # S'U, with S = d + (1 - d) A where d is S of a dissimilar pair and A marks the similar ones.
    similar_KxL = sum_over_similar(jnp.asarray(state["group_labels"]), query_labels, u)
    d = state["dissimilar"]
    pull_KxL = config.bits * (d * u.sum(0) + (1 - d) * similar_KxL)
    query_rows = state["rows"][drawn]
    linear = pull_KxL[state["groups"]].at[query_rows].add(config.method.gamma * u)
    gram = jnp.matmul(u.T, u, precision="highest")
    old = jnp.asarray(state["codes"], jnp.float32)
    new = dcc.coordinate_descent(old, linear, gram, sweeps=config.method.sweeps)
    metrics = {
        "changed_bits": jnp.mean(new != old),
        # The share of bits in which a query's outputs and its learned code disagree.
        "bit_error_rate": jnp.mean(sign(u) != new[query_rows]),
    }
    return {**state, **_summarize(np.asarray(new, np.int8), state)}, metrics


def learned_codes(config, data, state):
    """Returns V, int8 [n, bits] in {-1, +1}, or None if a database image is no training image."""
    del config
    return training_rows.learned_codes(data, state["codes"])


def _dissimilar(config, group_labels, counts):
    """Returns S of a dissimilar pair."""
    if config.method.dissimilar == "minus_one":
        return -1.0
    partners_Kx1 = sum_over_similar(
        jnp.asarray(group_labels), jnp.asarray(group_labels), jnp.asarray(counts)[:, None]
    )
    similar = float(counts @ np.asarray(partners_Kx1, np.float64)[:, 0])
    return -similar / max(float(counts.sum()) ** 2 - similar, 1.0)


def _summarize(codes, state):
    """Returns V with what the loss reads of it."""
    wide = codes.astype(np.float32)
    sums = np.zeros((len(state["counts"]), codes.shape[1]), np.float32)
    np.add.at(sums, state["groups"], wide)
    return {"codes": codes, "code_sums": sums, "gram": wide.T @ wide}
