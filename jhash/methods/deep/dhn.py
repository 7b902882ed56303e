"""DHN: deep hashing network (Zhu, Long, Wang and Cao 2016).

Source: the later code of its authors' group. The loss is the pairwise likelihood of the real
outputs u of thulab/DeepHash:DeepHash/model/dhn/dhn.py with alpha = 1/2, plus log cosh(|u| - 1), the
smooth form of a prior with its modes at -1 and +1. swuxyj/DeepHash-pytorch:DHN.py has both terms,
too. (thulab's script runs with alpha = 10.) 0 counts as the bit -1.

Pairs: the images of a batch with each other.

Sums and means: the paper sums both terms over pairs and chooses the weight by cross-validation. The
likelihood is a mean over pairs here, the log cosh a mean over images and bits, and the weight is
swuxyj's, 0.1. (thulab's code has the square in place of log cosh, with the weight 0.) Nothing is
clipped: thulab's bound of 15 on products, and swuxyj's table of outputs, are left out, and so is
thulab's larger weight of similar pairs.

With many bits MAP falls, in AIHN's table and here: products of unbounded outputs grow with the
number of bits, and the likelihood has no gradient where it is certain.

The database's codes are those that the model gives; none are learned apart.
"""

from jhash import config_fields
from jhash.losses import pairwise, quantization
from jhash.methods import pairs

FIELDS = {"quantization": config_fields.number()}

prepare = pairs.prepare


def loss(outputs, batch, state, config):
    """Computes the mean likelihood over pairs plus lambda times the mean log cosh over bits."""
    del state
    similar = pairwise.similar(batch["labels"])
    likelihood = pairwise.mean_over_pairs(pairwise.likelihood_loss(outputs, similar))
    log_cosh = quantization.log_cosh_loss(outputs).mean() / config.bits
    terms = {"likelihood": likelihood, "quantization": config.method.quantization * log_cosh}
    return terms["likelihood"] + terms["quantization"], terms
