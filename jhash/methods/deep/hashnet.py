"""HashNet: deep learning to hash by continuation (Cao, Long, Wang and Yu 2017).

Source: the paper, and thuml/HashNet:pytorch/src/loss.py, network.py and train.py of its authors.
The loss is a pairwise likelihood of g = tanh(beta u) with the logits (alpha / bits) g_i . g_j. beta
grows in training, so that g approaches the code sgn(u); there is no quantization loss.

Pairs: the images of a batch with each other. (The authors pair two batches of 36.)

Sums and means: a mean over pairs with weights by which similar and dissimilar pairs have the same
total. The authors' code weighs similar pairs by a number given per data set instead. alpha is in
the logarithm and in the product with s, as in the paper and in that code since it was mended. The
paper's c_ij, the share of labels that two images have in common, is not here: a pair is similar or
not, as in that code.

beta = sqrt(1 + growth t), with t the share of the epochs that are done. The authors renew beta
every 200 of 10,000 steps as sqrt(1 + 0.005 step), so growth = 50, up to beta = 7.

The database's codes are those that the model gives, sgn(u) for every beta, with sgn(0) = -1; none
are learned apart. (The authors' MAP is of real outputs averaged over ten windows of an image, and
leaves out queries without relevant images.)
"""

import jax.numpy as jnp

from jhash import config_fields
from jhash.losses import pairwise
from jhash.methods import pairs

READS_EPOCHS = True
FIELDS = {"alpha": config_fields.positive(), "growth": config_fields.number()}


def prepare(config, data, key):
    """Begins to count `epochs`."""
    data, _ = pairs.prepare(config, data, key)
    return data, {"epochs": jnp.zeros((), jnp.int32)}


def loss(outputs, batch, state, config):
    """Computes the weighted mean over pairs of the likelihood of tanh(beta u)."""
    beta = jnp.sqrt(1 + config.method.growth * state["epochs"] / config.epochs)
    similar = pairwise.similar(batch["labels"])
    values = pairwise.likelihood_loss(
        jnp.tanh(beta * outputs), similar, scale=config.method.alpha / config.bits
    )
    weights = pairwise.imbalance_weights(similar)
    return pairwise.mean_over_pairs(values, weights), {"beta": beta}


def end_epoch(config, data, state, indices, encode):
    """Counts the epoch."""
    del config, data, indices, encode
    return {"epochs": state["epochs"] + 1}, {}
