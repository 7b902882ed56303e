"""IDHN: improved deep hashing network for several labels (Zhang et al. 2019).

Source: pectinid16/IDHN:train.py of the authors. How similar two images are is the cosine of their
rows of labels. Pairs with no label in common, or with the same labels, have a pairwise likelihood,
the others a squared error, all on d = u / (1 + |u|) for the real outputs u. On data with one class
per image all pairs are of the first kind.

Pairs: the images of a batch with each other. (The authors count the pair of an image with itself.)

Sums and means: the mean over pairs, and the mean over images and bits of | |d| - 1 |, as in the
authors' code, with its values alpha = 0.1, beta = 5 and gamma = 0.1. Another code, swuxyj's, has
the factor 1/2 of inner products in the squared error as well, where the target then is out of
reach for similarities above 3/4.

The database's codes are those that the model gives, with sgn(0) = -1; none are learned apart.
"""

from flax import linen as nn

from jhash import config_fields
from jhash.losses import pairwise, quantization
from jhash.methods import pairs

FIELDS = {
    "quantization": config_fields.number(),
    "beta": config_fields.positive(),
    "gamma": config_fields.number(),
}

prepare = pairs.prepare


def loss(outputs, batch, state, config):
    """Computes the mean loss over pairs plus the weighted mean over images and bits."""
    del state
    d = nn.soft_sign(outputs)
    values = pairwise.soft_likelihood_loss(
        d,
        pairwise.label_cosine(batch["labels"]),
        scale=config.method.beta / config.bits,
        gamma=config.method.gamma,
    )
    magnitude = quantization.magnitude_loss(d, power=1).mean() / config.bits
    terms = {
        "similarity": pairwise.mean_over_pairs(values),
        "quantization": config.method.quantization * magnitude,
    }
    return terms["similarity"] + terms["quantization"], terms
