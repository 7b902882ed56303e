"""DNNH, also called NINH: deep neural network hashing (Lai, Pan, Liu and Yan 2015).

Source: the paper's divide-and-encode module and triplet ranking loss, read in
HYPJUDY/caffe-dnnh:runtime/12bit/train12.prototxt and its layer triplet_ranking_hinge_loss, whose
networks are those of the first author. The model gives some numbers per bit (50 there), and the
head, for any model, makes each bit from a slice of its own: one dense unit and a sigmoid. The
sigmoids h of an anchor, a similar and a dissimilar image have the loss max(0, margin + ||h_q -
h_p||^2 - ||h_q - h_n||^2).

`config.model.bits` is the number of outputs of the model, 2, 3, ... times `config.bits`.

Threshold: in the paper a sigmoid below 1/2 - epsilon becomes 0 and one above 1/2 + epsilon becomes
1, where it has no gradient. The networks above have none of this, which is epsilon = 0.5, the
default.

Triplets: all of a batch, in place of triplets that are drawn beforehand.

Sums and means: the mean over the triplets of an anchor, then over the anchors that have any. The
paper's margin is 1; the networks above have 2. (The layer's gradient is twice that of its loss.)

bit = h > 1/2, which is u > 0; sgn(0) = -1. The database's codes are those that the model gives;
none are learned apart.
"""

import jax
import jax.numpy as jnp

from jhash import config_fields
from jhash.losses import pairwise, triplet
from jhash.methods import pairs
from jhash.models.heads import DivideAndEncode

FIELDS = {"margin": config_fields.positive(), "epsilon": config_fields.positive(0.5)}

prepare = pairs.prepare


def head(config, data):
    """Returns the divide-and-encode module."""
    del data
    return DivideAndEncode(config.bits)


def loss(outputs, batch, state, config):
    """Computes the mean ranking loss of the triplets."""
    del state
    similar = pairwise.similar(batch["labels"])
    codes = threshold(jax.nn.sigmoid(outputs["hash"]), config.method.epsilon)
    ranking_B = triplet.ranking_loss(codes, similar, margin=config.method.margin)
    return triplet.mean_over_anchors(ranking_B, similar), {}


def threshold(h_BxL, epsilon):
    """Rounds numbers in [0, 1] that are more than epsilon from 1/2; the others stay."""
    return jnp.where(jnp.abs(h_BxL - 0.5) > epsilon, jnp.round(h_BxL), h_BxL)


def hash_outputs(outputs):
    """Returns the outputs of the head."""
    return outputs["hash"]
