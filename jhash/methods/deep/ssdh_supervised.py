"""SSDH: supervised semantics-preserving deep hashing (Yang, Lin and Chen 2018).

Source: kevinlin311tw/Caffe-DeepBinaryCode: examples/SSDH/train_val.prototxt and the layers
K1_euclidean_loss and K2_euclidean_loss, by the authors. A linear classifier (the head, for any
model) sees the activations a = sigmoid(u) of the hash layer. To its cross-entropy two terms are
added: -binary / 2 mean_il (a_il - 1/2)^2 makes the activations binary, and balance / 2 mean_i
(mean_l a_il - 1/2)^2 makes one half of the bits of each image ones. (The unsupervised method with
the same name is another.)

Pairs: none; each image has a cross-entropy.

Sums and means: means over images, and over images and bits. The paper's weights are those of
sums over images, which are the same for means; both are 1 in the file above. (Before its commit
46ccfc8 that code divided by the batch size once more, and took the mean of the second term over the
whole batch before it squared.)

Several labels: one sigmoid per label in place of the softmax, summed over the labels.

bit = a > 1/2, which is u > 0; sgn(0) = -1. The database's codes are those that the model gives;
none are learned apart.
"""

import jax
import jax.numpy as jnp

from jhash import config_fields
from jhash.losses import classification
from jhash.methods import labels
from jhash.models.heads import HashClassifier

FIELDS = {"binary": config_fields.number(), "balance": config_fields.number()}


prepare = labels.prepare


def head(config, data):
    """Returns a linear classifier of the activations of the hash layer."""
    del config
    return HashClassifier(data.num_classes, classifier_input="sigmoid")


def loss(outputs, batch, state, config):
    """Computes the mean cross-entropy plus the two weighted terms."""
    del state
    method = config.method
    cross_entropy_B = classification.cross_entropy(outputs["classes"], batch["labels"])
    from_half_BxL = jax.nn.sigmoid(outputs["hash"]) - 0.5
    terms = {
        "classification": cross_entropy_B.mean(),
        "binary": -method.binary / 2 * jnp.square(from_half_BxL).mean(),
        "balance": method.balance / 2 * jnp.square(from_half_BxL.mean(1)).mean(),
    }
    accuracy = classification.accuracy(outputs["classes"], batch["labels"])
    return sum(terms.values()), {**terms, "accuracy": accuracy}


def hash_outputs(outputs):
    """Returns the outputs of the hash layer."""
    return outputs["hash"]
