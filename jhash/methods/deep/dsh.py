"""DSH: deep supervised hashing (Liu, Wang, Shan and Chen 2016).

Another DSH is density sensitive hashing, a shallow method: `density_sensitive`.

Source: the paper, and lhmRyan/deep-supervised-hashing-DSH:
src/caffe/layers/hashing_loss_layer.cpp of its authors. The loss pulls the real outputs u of similar
images together and pushes those of dissimilar ones apart, up to a margin of the squared distance,
and keeps each output near -1 or +1 by | |u| - 1 |; sgn(0) = -1. u has no activation function.

Pairs: the images of a batch with each other.

Sums and means: the mean over pairs, and the mean over images of the sum over bits. The paper adds
alpha times the terms of both images to each pair, so the weight here is 2 alpha, 0.02 for the
paper's 0.01. (The authors' code adds them once but halves the gradient of the pairs.)

The margin is two per bit, as in the paper. Two codes that differ in half of their bits have it.

The database's codes are those that the model gives; none are learned apart.
"""

from jhash import config_fields
from jhash.losses import pairwise, quantization
from jhash.methods import pairs

FIELDS = {"margin": config_fields.positive(), "quantization": config_fields.number()}

prepare = pairs.prepare


def loss(outputs, batch, state, config):
    """Computes the mean contrastive loss over pairs plus the weighted mean over images."""
    del state
    similar = pairwise.similar(batch["labels"])
    margin = config.method.margin * config.bits
    contrastive = pairwise.contrastive_loss(outputs, similar, margin=margin)
    magnitude = quantization.magnitude_loss(outputs, power=1).mean()
    terms = {
        "contrastive": pairwise.mean_over_pairs(contrastive),
        "quantization": config.method.quantization * magnitude,
    }
    return terms["contrastive"] + terms["quantization"], terms
