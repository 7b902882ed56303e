"""DCH: deep Cauchy hashing (Cao, Long, Liu and Wang 2018).

Source: eqs. 2 and 6 to 9 of the paper. The probability that a pair is similar falls with its
distance d like gamma / (gamma + d), so that it is the pairs within a small Hamming radius that
count, where d = bits / 2 (1 - cosine) for the real outputs u. The same function of the angle
between |u| and the vector of ones is the quantization loss, where 0 counts as the bit -1. (The code
of the authors, thulab/DeepHash:DeepHash/model/dch/dch.py, has the squared Euclidean distance of
tanh outputs and no quantization loss. swuxyj/DeepHash-pytorch:DCH.py has the equations, but its
bound of 0.99 on the cosine takes the gradient from all closer pairs.)

Pairs: the images of a batch with each other.

Sums and means: a mean over pairs with weights by which similar and dissimilar pairs have the same
total, and a mean over images. swuxyj's weights have the mean 2, so the weight of the quantization
loss here is half of its 0.1. gamma = 20 is the authors' and swuxyj's.

The database's codes are those that the model gives, with sgn(0) = -1; none are learned apart. The
method is made for hash lookup: see the precision within a radius of 2 in the results.
"""

from jhash import config_fields
from jhash.losses import pairwise, quantization
from jhash.methods import pairs

FIELDS = {"gamma": config_fields.positive(), "quantization": config_fields.number()}

prepare = pairs.prepare


def loss(outputs, batch, state, config):
    """Computes the weighted mean over pairs plus the mean of the quantization loss."""
    del state
    gamma = config.method.gamma
    similar = pairwise.similar(batch["labels"])
    values = pairwise.cauchy_loss(outputs, similar, gamma=gamma)
    cauchy = pairwise.mean_over_pairs(values, pairwise.imbalance_weights(similar))
    distance = quantization.cauchy_loss(outputs, gamma=gamma).mean()
    terms = {"cauchy": cauchy, "quantization": config.method.quantization * distance}
    return terms["cauchy"] + terms["quantization"], terms
