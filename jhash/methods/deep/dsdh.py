"""DSDH: deep supervised discrete hashing (Li, Sun, He and Tan 2017).

Source: the paper, eq. 7, and liqi-casia/DSDH-HashingCode:train.m by its authors. To a pairwise
likelihood of the hash outputs u it adds a linear classifier of codes B that are learned for the
training images: sum_ij likelihood(u_i . u_j / 2) + mu ||Y - B W||^2 + nu ||W||^2 + eta ||B - U||^2.
Once per epoch W is solved by ridge regression, and B by sweeps of discrete coordinate descent.

Pairs: the images of a batch with each other. The authors pair a batch with all training images, by
a table of their last outputs.

Sums and means: the weights mu = 1, nu = 0.1 and eta = 55 are those of the authors, for sums over
ordered pairs and over images. The training step has this objective divided by n^2: the mean over
pairs, and with the weight eta / n the mean over images of ||b_i - u_i||^2. The steps of W and B
depend on nu / mu and eta / mu alone.

The authors solve for W and B in each step, for the images of the batch, with W from sgn(U) and B
from 0. Here both are of all training images, and B goes on from the one before; the first is
random. (Two other public programs differ more. TreezzZ's has other weights, with eta 0.01 both
beside means and beside sums. swuxyj's has W and B as constants of its graph and no third term, so
that it trains DPSH.)

sgn(0) of B leaves a bit as it is. The database's learned codes are B, which know the labels of the
database; those that the model gives are evaluated beside them, and are what the paper evaluates.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash import config_fields
from jhash.losses import pairwise
from jhash.methods import pairs, training_rows
from jhash.solvers import dcc
from jhash.solvers.asymmetric import sign
from jhash.solvers.label_groups import one_hot

FIELDS = {
    "mu": config_fields.positive(),
    "nu": config_fields.positive(),
    "eta": config_fields.number(),
    "sweeps": config_fields.integer(1, 1000),
}


def prepare(config, data, key):
    """Makes the first B.

    The state has the `codes` B, int8 [n, bits] in {-1, +1}, and `rows`, int32, the row of each
    image of the source in them.
    """
    data, _ = pairs.prepare(config, data, key)
    codes = jax.random.rademacher(key, (len(data.train), config.bits), jnp.int8)
    return data, {"codes": codes, "rows": training_rows.rows(data)}


def loss(outputs, batch, state, config):
    """Computes the mean over pairs of the likelihood plus the distance from the learned codes."""
    similar = pairwise.similar(batch["labels"])
    likelihood = pairwise.mean_over_pairs(pairwise.likelihood_loss(outputs, similar))
    codes = state["codes"][state["rows"][batch["index"]]]
    weight = config.method.eta / len(state["codes"])
    distance = weight * jnp.square(codes - outputs).sum(1).mean()
    return likelihood + distance, {"likelihood": likelihood, "distance": distance}


def end_epoch(config, data, state, indices, encode):
    """Solves for W, then lowers the objective over B, given the outputs of all training images.

    W = (B'B + nu / mu I)^-1 B'Y. The objective over B, divided by mu, is
    tr(B W W' B') - 2 tr(B (Y W' + eta / mu U)').
    """
    del indices
    method = config.method
    u = encode(data.train)
    old = jnp.asarray(state["codes"], jnp.float32)
    y = one_hot(data.labels(data.train), data.num_classes)
    w = jnp.asarray(dcc.ridge(np.asarray(old), np.asarray(y), method.nu / method.mu))
    linear = jnp.matmul(y, w.T, precision="highest") + method.eta / method.mu * u
    gram = jnp.matmul(w, w.T, precision="highest")
    new = dcc.coordinate_descent(old, linear, gram, sweeps=method.sweeps)
    metrics = {
        "changed_bits": jnp.mean(new != old),
        # The share of bits in which outputs and learned codes disagree.
        "bit_error_rate": jnp.mean(sign(u) != new),
    }
    return {**state, "codes": new.astype(jnp.int8)}, metrics


def learned_codes(config, data, state):
    """Returns B, int8 [n, bits] in {-1, +1}, or None if a database image is no training image."""
    del config
    return training_rows.learned_codes(data, state["codes"])
