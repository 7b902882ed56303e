"""GreedyHash, supervised (Su, Zhang, Han and Tian 2018).

Source: ssppp/GreedyHash:cifar1.py, by the authors. A linear classifier without bias (the head, for
any model) sees the binary codes sgn(u) themselves; backward, the sign is the identity. A penalty
keeps the outputs u near -1 and +1, so that this gradient is not far from the truth.

Pairs: none; each image has a cross-entropy.

Sums and means: the mean over images of the cross-entropy, and the mean over images and bits of
| |u| - 1 |^3, as in that code, with its weight of 0.1 (1 for ImageNet).

Several labels: one sigmoid per label in place of the softmax, summed over the labels. (Public
benchmarks take the first label for the class.)

sgn(0) = -1. In that code it is 0, which is no bit. The database's codes are those that the model
gives; none are learned apart.
"""

from jhash import config_fields
from jhash.losses import classification, quantization
from jhash.methods import labels
from jhash.models.heads import HashClassifier

FIELDS = {"quantization": config_fields.number()}


prepare = labels.prepare


def head(config, data):
    """Returns a linear classifier of binary codes."""
    del config
    return HashClassifier(data.num_classes, classifier_input="sign", classifier_bias=False)


def loss(outputs, batch, state, config):
    """Computes the mean cross-entropy plus the weighted mean of the cubes."""
    del state
    cross_entropy_B = classification.cross_entropy(outputs["classes"], batch["labels"])
    cubes = quantization.magnitude_loss(outputs["hash"], power=3).mean() / config.bits
    terms = {
        "classification": cross_entropy_B.mean(),
        "quantization": config.method.quantization * cubes,
    }
    accuracy = classification.accuracy(outputs["classes"], batch["labels"])
    return terms["classification"] + terms["quantization"], {**terms, "accuracy": accuracy}


def hash_outputs(outputs):
    """Returns the outputs of the hash layer."""
    return outputs["hash"]
