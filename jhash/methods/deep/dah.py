"""DAH: deep attention-based hashing (Li et al. 2020).

The model has a hash layer, and a classification layer on the shrink sigmoid x of the hash outputs,
which is in [1/4, 3/4]. The loss has a part for each layer: similarity and balance over the pairs of
a batch for the hash layer, cross-entropy for the classification layer. Batches are class-balanced;
in the paper they hold two images per class.
"""

import jax.numpy as jnp
import optax

from jhash import config_fields, rng
from jhash.data import class_batches
from jhash.errors import InputError
from jhash.losses import pairwise
from jhash.models.layers import shrink_sigmoid

FIELDS = {
    "dissimilar": config_fields.choice(*pairwise.DISSIMILAR),
    "threshold": config_fields.number(),
    "phi1": config_fields.number(),
    "phi2": config_fields.number(),
}


def prepare(config, data, key):
    """Checks that data, batch size and model fit the method; there is no state."""
    del key
    classes, given = data.num_classes, config.model.get("classes")
    if data.multi_label:
        raise InputError(
            f"config.data.source: {config.data.source!r} given, whose labels are rows of 0/1; "
            "allowed: data with one class id per image, since dah has a classification layer."
        )
    batches_fit = config.batch_size % classes == 0 and config.batch_size >= 2 * classes
    if given != classes:
        hint = ""
        if not batches_fit:  # Other data often need both, which should not take two attempts.
            hint = f" config.batch_size: {config.batch_size} does not fit {classes} classes either."
        raise InputError(
            f"config.model.classes: {given} given; allowed: {classes}, the number of classes in "
            f"the data.{hint}"
        )
    if not batches_fit:
        raise InputError(
            f"config.batch_size: {config.batch_size} given; allowed: 2, 3, ... times the number "
            f"of classes, {classes}, since a batch has equally many images of each class."
        )
    return data, {}


def begin_epoch(config, data, state, epoch, key):
    """Returns class-balanced batches, in which every image of the largest class is seen once."""
    # The order of a class continues across epochs, so its key belongs to the run, not the epoch.
    del state, key
    places = class_batches.epoch(
        data.labels(data.train),
        config.batch_size,
        data.source.class_names,
        epoch,
        rng.stream(config.seed, "class_batches"),
    )
    return data.train[places]


def loss(outputs, batch, state, config):
    """Computes eq. 6 plus the cross-entropy of the classification layer.

    Eq. 6 is phi1 W1 + phi2 W2, averaged over the ordered pairs i != j of the batch: W1 is the
    similarity term, W2 the balance term. The paper prints phi1 for both weights; the second is
    taken as phi2. It does not say how the two losses are combined; here they are added, both with
    weight 1.
    """
    del state
    method, labels = config.method, batch["labels"]
    x = shrink_sigmoid(outputs["hash"])
    similarity = pairwise.log_distance_loss(
        x,
        pairwise.similar(labels),
        threshold=config.bits * method.threshold,
        dissimilar=method.dissimilar,
    )
    classification = optax.softmax_cross_entropy_with_integer_labels(outputs["classes"], labels)
    terms = {
        "similarity": method.phi1 * pairwise.mean_over_pairs(similarity),
        "balance": method.phi2 * pairwise.balance_loss(x).mean(),
        "classification": classification.mean(),
    }
    correct = outputs["classes"].argmax(1) == labels
    return sum(terms.values()), {**terms, "accuracy": jnp.mean(correct)}


def hash_outputs(outputs):
    """Returns the outputs of the hash layer.

    Eq. 5 cuts their shrink sigmoid at 1/2, which is the same as cutting the outputs at 0.
    """
    return outputs["hash"]
