"""FDAH: fast deep asymmetric hashing (Lin, Lai, Lu, Zhou 2021).

The network encodes queries only; the database gets codes B of its own by regression from the
labels, B ~ sgn(Y W). An epoch of the loop is one outer iteration of ADSH's schedule: draw m queries
from the training set, pass over them `passes` times, then solve for W, then for all bits of B at
once.

The closed forms are in `solvers.asymmetric`, which explains notation and groups of equal labels.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError
from jhash.losses import asymmetric
from jhash.solvers.asymmetric import sign, solve_group_codes, solve_group_regression
from jhash.solvers.class_codes import code_separation, initial_class_codes
from jhash.solvers.label_groups import group_by_label, one_hot


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
    group_labels, group_index = group_by_label(data.labels(data.train), data.num_classes)
    w = initial_class_codes(key, data.num_classes, config.bits)
    state = {
        "w": w,
        "group_labels": group_labels,
        "group_counts": np.bincount(group_index, minlength=len(group_labels)).astype(np.float32),
        "group_codes": sign(group_labels @ w),
    }
    return data, state


def begin_epoch(config, data, state, epoch, key):
    """Draws m queries from the training set, then shuffles them anew for each of the passes."""
    del state, epoch
    draw_key, *pass_keys = jax.random.split(key, 1 + config.method.passes)
    drawn = jax.random.permutation(draw_key, len(data.train))[: config.method.queries]
    order = jnp.concatenate([jax.random.permutation(pass_key, drawn) for pass_key in pass_keys])
    return data.train[np.asarray(order)]


def loss(outputs, batch, state, config):
    """Eq. 4 as a function of the network: the mean over batch, database images and bits.

    Dividing the paper's sum by (queries * n * bits) changes the scale of the learning rate, not the
    minimum; the term without the network's outputs is left out.
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
    """Closed-form W (eq. 7), then B (eq. 9), with the drawn queries encoded by the present network.

    ADSH's public code keeps the outputs seen *during* the passes; encoding again costs one forward
    pass over m images and makes W and B optimal for the network as it is.
    """
    method, drawn = config.method, np.unique(indices)
    labels, counts, old_codes = (
        state[name] for name in ("group_labels", "group_counts", "group_codes")
    )
    u = jnp.tanh(encode(drawn))
    query_labels = one_hot(data.labels(drawn), data.num_classes)
    code_sums = counts[:, None] * old_codes
    w = solve_group_regression(
        labels, counts, code_sums, u, query_labels, gamma1=method.gamma1, gamma3=method.gamma3
    )
    # With B, the codes that an image of one class alone would get (B's own, if single-label) and
    # those of the drawn queries.
    rows = jnp.concatenate([labels, jnp.eye(data.num_classes), query_labels])
    codes = solve_group_codes(
        rows, labels, counts, w, u, query_labels, gamma2=method.gamma2, gamma3=method.gamma3
    )
    ends = np.cumsum([len(labels), data.num_classes])
    codes, class_codes, query_codes = jnp.split(codes, ends)
    distinct, min_distance = code_separation(class_codes)
    metrics = {
        "changed_bits": jnp.average((codes != old_codes).mean(1), weights=counts),
        "distinct_class_codes": distinct,
        "min_class_distance": min_distance,
        # Bits in which a query's output and its learned code disagree: see configs/fdah.py.
        "bit_error_rate": jnp.mean(sign(u) != query_codes),
    }
    return {**state, "w": w, "group_codes": codes}, metrics


def learned_codes(config, data, state):
    """B, int8 [n, bits] in {-1, +1}, if the database is the training set (as in the paper)."""
    del config
    if not np.array_equal(np.sort(data.database), np.sort(data.train)):
        return None
    _, group_index = group_by_label(data.labels(data.database), data.num_classes)
    return np.asarray(state["group_codes"], np.int8)[group_index]
