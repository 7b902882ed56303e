"""CNNH and CNNH+: codes from the similarity, then a network that learns them.

Source: Xia, Pan, Lai, Liu and Yan 2014, and heheqianqian/CNNH and swuxyj/DeepHash-pytorch:CNNH.py,
independent programs. Stage 1 factors the similarity S (1 for images that share a label, -1 for
others) into relaxed codes H, by coordinate descent on ||H H' / l - S||^2, and takes their signs.
Stage 2 trains the model on these codes as labels: the cross-entropy of sigmoid(u) and the bits, a
mean over images and bits.

Stage 1 is over groups of images with equal labels in place of n images, weighted by their numbers.
Images with equal labels have equal codes in a minimum, and n x n numbers would not fit into memory.
The first H is uniform in [-1, 1].

(Of the two programs one has an integer matrix and a misplaced parenthesis in stage 1, the other one
takes labels in the order of a shuffled loader, so that codes belong to other images.)

CNNH+ has the classes as further outputs of the network beside the bits, and their cross-entropy as
a second term. The weight of that term is `config.method.classification`, a choice made here; 0 is
CNNH. The last layer of the model then has `config.model.bits` outputs, the bits and the classes.

bit = u > 0; sgn(0) of stage 1 is -1. The database's learned codes are those of stage 1, which know
the labels of the database; those that the model gives are evaluated beside them, and are what the
paper evaluates.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash import config_fields, rng
from jhash.errors import in_config
from jhash.losses import asymmetric, classification, multi_label
from jhash.methods import labels, training_rows
from jhash.models.heads import ClassOutputs
from jhash.solvers import similarity_factors
from jhash.solvers.label_groups import group_by_label

FIELDS = {
    "sweeps": config_fields.integer(1, 1000),
    "classification": config_fields.number().added(0.0),
}


def prepare(config, data, key):
    """Makes room for the codes of stage 1.

    The state has the `codes` of the groups of equal labels, int8 [K, bits] in {-1, +1}, 0 before
    stage 1; `groups`, int32 [n], and `rows`, int32, the row of each image of the source in it.
    """
    del key
    labels.check(config, data)
    group_labels, groups = _groups(data)
    return data, {
        "codes": np.zeros((len(group_labels), config.bits), np.int8),
        "groups": groups.astype(np.int32),
        "rows": training_rows.rows(data),
    }


def pretrain(config, data, params, state, folder):
    """Runs stage 1."""
    del folder
    group_labels, groups = _groups(data)
    similar = asymmetric.affinity(group_labels, group_labels)
    key = rng.stream(config.seed, "codes")
    start = jax.random.uniform(key, (len(group_labels), config.bits), minval=-1.0, maxval=1.0)
    with in_config({"similarity_KxK": "config.data.source"}):
        relaxed = similarity_factors.factor(
            2 * np.asarray(similar) - 1,
            np.maximum(np.bincount(groups, minlength=len(group_labels)), 1),
            np.asarray(start),
            sweeps=config.method.sweeps,
        )
    return params, {**state, "codes": np.where(relaxed > 0, 1, -1).astype(np.int8)}


def head(config, data):
    """Divides the outputs into bits and classes for CNNH+; CNNH has no head."""
    if not _classifies(config):
        return None
    return ClassOutputs(config.bits, data.num_classes)


def loss(outputs, batch, state, config):
    """Computes the cross-entropy with the codes of stage 1, the mean over images and bits.

    CNNH+ adds the weighted cross-entropy of the classes, the mean over images.
    """
    bits = state["codes"][state["groups"][state["rows"][batch["index"]]]] > 0
    u = hash_outputs(outputs)
    total = multi_label.binary_cross_entropy(u, bits).sum() / u.size
    aux = {"bit_error_rate": jnp.mean((u > 0) != bits)}
    if _classifies(config):
        cross_entropy_B = classification.cross_entropy(outputs["classes"], batch["labels"])
        aux["classification"] = config.method.classification * cross_entropy_B.mean()
        aux["accuracy"] = classification.accuracy(outputs["classes"], batch["labels"])
        total += aux["classification"]
    return total, aux


def hash_outputs(outputs):
    """Returns the outputs for the bits."""
    return outputs["hash"] if isinstance(outputs, dict) else outputs


def learned_codes(config, data, state):
    """Returns the codes of stage 1, or None if a database image is no training image."""
    del config
    codes = np.asarray(state["codes"])[np.asarray(state["groups"])]
    return training_rows.learned_codes(data, codes)


def extra_results(config, data, state):
    """Counts the different codes of stage 1, of all groups of equal labels."""
    del config, data
    codes = np.asarray(state["codes"])
    return {"stage_1": {"groups": len(codes), "distinct_codes": len(np.unique(codes, axis=0))}}


def _classifies(config):
    return getattr(config.method, "classification", 0.0) > 0


def _groups(data):
    return group_by_label(data.labels(data.train), data.num_classes)
