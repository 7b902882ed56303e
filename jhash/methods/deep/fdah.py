"""FDAH: fast deep asymmetric hashing (Lin, Lai, Lu, Zhou 2021).

The model is meant for query images only; the evaluation encodes the database with it as well. The
database gets codes B of its own, by regression from the labels: B ~ sgn(Y W). One epoch of the
training loop is one outer iteration of the schedule of ADSH (Jiang and Li 2018): draw m images from
the training set as queries, train on them in several passes (`config.method.passes`), solve for W,
then solve for all bits of B at once.

The closed forms are in `solvers.asymmetric`, which explains the notation. Images with equal labels
have equal rows in Y and B, so the state holds one row per distinct label, a "group".
"""

import sys

import jax.numpy as jnp
import numpy as np

from jhash import config_fields
from jhash.errors import InputError
from jhash.losses import asymmetric
from jhash.methods import training_rows
from jhash.solvers.asymmetric import sign, solve_group_codes, solve_group_regression
from jhash.solvers.class_codes import code_separation, initial_class_codes
from jhash.solvers.label_groups import find_groups, group_by_label, one_hot

FIELDS = {
    "queries": config_fields.integer(1),
    "passes": config_fields.integer(1, 1000),
    "gamma1": config_fields.number(),
    "gamma2": config_fields.number(),
    "gamma3": config_fields.positive(),
}


def prepare(config, data, key):
    """Makes the first W and B.

    The rows of the first W are class codes that are far apart, and B = sgn(Y W). The state has `w`
    [classes, bits], and per group its `group_labels` [groups, classes] in {0, 1}, `group_counts`
    [groups], the number of training images, and `group_codes` [groups, bits] in {-1, +1}.
    """
    if config.method.queries > len(data.train):
        print(
            f"jhash: every epoch draws all {len(data.train)} training images, as config.method."
            f"queries is {config.method.queries}.",
            file=sys.stderr,
        )
    group_labels, group_index = group_by_label(data.labels(data.train), data.num_classes)
    if not group_labels.any():
        raise InputError(
            f"config.data.source: {config.data.source!r} given, of which no training image has a "
            "label; allowed: data with labels, since fdah learns codes from them."
        )
    w = initial_class_codes(key, data.num_classes, config.bits)
    state = {
        "w": w,
        "group_labels": group_labels,
        "group_counts": np.bincount(group_index, minlength=len(group_labels)).astype(np.float32),
        "group_codes": sign(group_labels @ w),
    }
    return data, state


def begin_epoch(config, data, state, epoch, key):
    """Draws m queries from the training set, or all of it, and shuffles them for each pass."""
    del state, epoch
    return training_rows.draw(data.train, config.method.queries, config.method.passes, key)


def loss(outputs, batch, state, config):
    """Computes eq. 4 as a mean over queries of the batch, database images and bits.

    Dividing the paper's sum by (queries * n * bits) scales the loss and does not move its
    minimum. The term that does not depend on the model's outputs is left out.
    """
    labels, counts = state["group_labels"], state["group_counts"]
    similar = asymmetric.affinity(one_hot(batch["labels"], labels.shape[1]), labels)
    u = jnp.tanh(outputs)
    similarity = asymmetric.inner_product_loss(u, labels @ state["w"], similar, counts)
    reconstruction = asymmetric.reconstruction_loss(u, state["group_codes"], similar, counts)
    pairs = u.size * counts.sum()
    terms = {
        "similarity": config.method.gamma1 * similarity.sum() / pairs,
        "reconstruction": config.method.gamma2 * reconstruction.sum() / pairs,
    }
    return terms["similarity"] + terms["reconstruction"], terms


def end_epoch(config, data, state, indices, encode):
    """Solves for W (eq. 7), then for B (eq. 9), given the model's outputs for the drawn queries.

    The queries are encoded again for this, which costs one forward pass over m images and makes W
    and B optimal for the model as it now is. (ADSH's public code keeps the outputs that it saw
    *during* the passes.)
    """
    method, drawn = config.method, np.unique(indices)
    labels, counts, old_codes = (
        state[name] for name in ("group_labels", "group_counts", "group_codes")
    )
    u = jnp.tanh(encode(drawn))
    drawn_labels = data.labels(drawn)
    query_labels = one_hot(drawn_labels, data.num_classes)
    code_sums = counts[:, None] * old_codes
    w = solve_group_regression(
        labels, counts, code_sums, u, query_labels, gamma1=method.gamma1, gamma3=method.gamma3
    )
    # One solve gives two sets of codes: those of the groups, which are B, and those of images with
    # one class alone, which are logged.
    rows = jnp.concatenate([labels, jnp.eye(data.num_classes)])
    codes = solve_group_codes(
        rows, labels, counts, w, u, query_labels, gamma2=method.gamma2, gamma3=method.gamma3
    )
    codes, class_codes = jnp.split(codes, [len(labels)])
    query_codes = codes[find_groups(drawn_labels, labels)]
    distinct, min_distance = code_separation(class_codes)
    metrics = {
        "changed_bits": jnp.average((codes != old_codes).mean(1), weights=counts),
        "distinct_class_codes": distinct,
        "min_class_distance": min_distance,
        # The share of bits in which a query's outputs and its learned code disagree; see
        # configs/fdah.py.
        "bit_error_rate": jnp.mean(sign(u) != query_codes),
    }
    return {**state, "w": w, "group_codes": codes}, metrics


def learned_codes(config, data, state):
    """Returns B, int8 [n, bits] in {-1, +1}.

    It is None unless the database is the training set, as in the paper.
    """
    del config
    if not np.array_equal(np.sort(data.database), np.sort(data.train)):
        return None
    _, group_index = group_by_label(data.labels(data.database), data.num_classes)
    return np.asarray(state["group_codes"], np.int8)[group_index]
