"""DAH: deep attention-based hashing (Li et al. 2020).

The network has a hash layer and, on its shrink sigmoid x in [1/4, 3/4], a classification layer. The
loss is that of both: a similarity and a balance term over the pairs of a batch, and cross-entropy.
Batches are class-balanced, two images a class in the paper.
"""

import math

import jax.numpy as jnp
import optax

from jhash import rng
from jhash.data import class_batches
from jhash.errors import InputError
from jhash.losses import pairwise
from jhash.models.layers import shrink_sigmoid


def prepare(config, data, key):
    """Checks that data, batches and network fit the method; there is no state."""
    del key
    method, classes = config.method, data.num_classes
    if data.multi_label:
        raise InputError(
            "config.method.name: dah classifies, so it needs one class id an image; the labels of "
            f"{config.data.source} are rows of 0/1."
        )
    if config.batch_size % classes or config.batch_size < 2 * classes:
        raise InputError(
            f"config.batch_size: {config.batch_size} given; allowed is 2, 3, ... times the number "
            f"of classes, {classes}, as every batch has equally many images of each."
        )
    if config.model.get("classes") != classes:
        raise InputError(
            f"config.model.classes: {config.model.get('classes')} given; the data has {classes} "
            "classes, and so must the classification layer."
        )
    if method.dissimilar not in pairwise.DISSIMILAR:
        raise InputError(
            f"config.method.dissimilar: {method.dissimilar!r} given; allowed are "
            f"{', '.join(pairwise.DISSIMILAR)}."
        )
    for name in ("threshold", "phi1", "phi2"):
        if not 0 <= method[name] < math.inf:
            raise InputError(f"config.method.{name}: {method[name]} given; allowed is >= 0.")
    return data, {}


def begin_epoch(config, data, state, epoch, key):
    """Class-balanced batches; the largest class is seen once."""
    del state, key  # The classes' orders go on from epoch to epoch, so their key is the run's.
    places = class_batches.epoch(
        data.labels(data.train),
        config.batch_size,
        data.source.class_names,
        epoch,
        rng.stream(config.seed, "class_batches"),
    )
    return data.train[places]


def loss(outputs, batch, state, config):
    """Eq. 6 plus the cross-entropy of the classification layer, both with weight 1.

    phi1 W1 + phi2 W2, averaged over the ordered pairs i != j of the batch. The paper does not say
    how the two losses are put together: their sum. It names phi1 twice; the second is phi2.
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
    """The hash layer: its shrink sigmoid is above 1/2 where it is above 0 (eq. 5)."""
    return outputs["hash"]
