"""JMLH: just-maximizing-likelihood hashing (Shen et al. 2019).

Source: ymcidence/TBH: model/jmlh.py, train/jmlh_train.py and layer/binary_activation.py, by the
authors. A linear classifier (the head, for any model) sees bits in {0, 1}, each of which is a draw
with the probability p = sigmoid(u); backward, a bit is its p. The divergence of these draws from
fair ones is added, as in a variational bottleneck.

Pairs: none; each image has a cross-entropy.

Sums and means: the mean over images of the cross-entropy plus beta times the divergence summed over
the bits, as in that code, with its beta = 0.2. The divergence rewards bits that are uncertain, the
opposite of a quantization loss.

Noise: the model of that code sets the noise to 1/2, so that bit = u > 0 in training as well. This
is the default here; with `noise` the bits are drawn.

Several labels: one sigmoid per label in place of the softmax, summed over the labels. That code has
a softmax there, too.

The divergence is computed from u. In that code p log p is NaN once p is rounded to 0 or 1. sgn(0) =
-1, the bit 0; there it is 1/2. The database's codes are those that the model gives; none are
learned apart.
"""

import math

import jax

from jhash import config_fields
from jhash.losses import classification
from jhash.methods import labels
from jhash.models.heads import HashClassifier

FIELDS = {"beta": config_fields.number(), "noise": config_fields.boolean()}


prepare = labels.prepare


def head(config, data):
    """Returns a linear classifier of bits."""
    return HashClassifier(data.num_classes, classifier_input="bernoulli", noise=config.method.noise)


def loss(outputs, batch, state, config):
    """Computes the mean cross-entropy plus the weighted mean divergence."""
    del state
    cross_entropy_B = classification.cross_entropy(outputs["classes"], batch["labels"])
    terms = {
        "classification": cross_entropy_B.mean(),
        "divergence": config.method.beta * divergence(outputs["hash"]).mean(),
    }
    accuracy = classification.accuracy(outputs["classes"], batch["labels"])
    return terms["classification"] + terms["divergence"], {**terms, "accuracy": accuracy}


def divergence(u_BxL):
    r"""Computes the divergence of bits with the probabilities sigmoid(u) from fair ones.

    \sum_l (p log (2 p) + (1 - p) log (2 (1 - p))), [B].
    """
    one_BxL, zero_BxL = jax.nn.sigmoid(u_BxL), jax.nn.sigmoid(-u_BxL)
    entropy_BxL = one_BxL * jax.nn.softplus(-u_BxL) + zero_BxL * jax.nn.softplus(u_BxL)
    return (math.log(2) - entropy_BxL).sum(1)


def hash_outputs(outputs):
    """Returns the outputs of the hash layer."""
    return outputs["hash"]
