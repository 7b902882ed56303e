"""DFH: deep Fisher hashing (Li, Pei, Zha and van Gemert 2019).

Source: liyunqianggyn/Push-for-Quantization-Deep-Fisher-Hashing: Main.py, Gradient_center.py (until
5f5b9a6) and models/DFH_loss.py of the authors. The loss is a pairwise likelihood with a margin of
the real outputs u, plus their distance from b = sgn(mu c + u), sgn(0) = -1, where c is the center
of an image's class, a code that is learned as well. With several labels c is the mean of their
centers.

Pairs: the images of a batch with each other. (The authors pair a batch with a table of all
outputs.)

Sums and means: the mean over pairs, and the mean over images and bits of the distance, as in the
authors' code, with its eta = 0.5 and mu = 1. Its margin is commented out; here it is 3, that of
swuxyj/DeepHash-pytorch:DFH.py.

Centers: after each epoch they are renewed to fit the b of all training images and to be apart from
each other, mean (C'y - b)^2 + separation mean (C C' - l (2 I - 1 1'))^2. The images are encoded for
this, which costs one more forward pass. The authors renew them after every batch, by 200 steps of
gradient descent for relaxed centers, and since 5f5b9a6 bit by bit. Here each bit of all centers is
a binary quadratic problem (`solvers.binary_quadratic`), whose steps never raise this objective. The
authors' centers begin at 0, where the second term has no gradient; here they begin far apart.

The database's codes are those that the model gives; none are learned apart.
"""

import jax
import jax.numpy as jnp

from jhash import config_fields
from jhash.losses import pairwise
from jhash.methods import pairs
from jhash.solvers import binary_quadratic
from jhash.solvers.class_codes import code_separation, initial_class_codes
from jhash.solvers.label_groups import one_hot

FIELDS = {
    "margin": config_fields.number(),
    "quantization": config_fields.number(),
    "mu": config_fields.number(),
    "separation": config_fields.number(),
}


def prepare(config, data, key):
    """Makes the first `centers` [classes, bits] in {-1, +1}."""
    data, _ = pairs.prepare(config, data, key)
    return data, {"centers": initial_class_codes(key, data.num_classes, config.bits)}


def loss(outputs, batch, state, config):
    """Computes the mean likelihood over pairs plus the weighted mean distance over bits."""
    similar = pairwise.similar(batch["labels"])
    values = pairwise.likelihood_loss(outputs, similar, margin=config.method.margin)
    shares = _shares(batch["labels"], len(state["centers"]))
    codes = _codes(jax.lax.stop_gradient(outputs), shares, state["centers"], config.method.mu)
    terms = {
        "likelihood": pairwise.mean_over_pairs(values),
        "quantization": config.method.quantization * jnp.square(codes - outputs).mean(),
    }
    return terms["likelihood"] + terms["quantization"], terms


def end_epoch(config, data, state, indices, encode):
    """Renews the centers, given the model's outputs for all training images."""
    del indices
    shares = _shares(data.labels(data.train), data.num_classes)
    codes = _codes(encode(data.train), shares, state["centers"], config.method.mu)
    centers = renew(state["centers"], shares, codes, separation=config.method.separation)
    distinct, min_distance = code_separation(centers)
    metrics = {"distinct_centers": distinct, "min_center_distance": min_distance}
    return {"centers": centers}, metrics


@jax.jit
@jax.default_matmul_precision("highest")
def renew(centers_CxL, shares_nxC, codes_nxL, *, separation):
    r"""Improves the centers, one bit of all classes after another.

    1 / (n L) \sum_i ||C'y_i - b_i||^2 + separation / C^2 ||C C' - L (2 I - 1 1')||^2.

    Args:
      centers_CxL: Centers, in {-1, +1}.
      shares_nxC: Shares y of each image in the classes; they add up to 1, or to 0 without labels.
      codes_nxL: Codes b of these.
      separation: Weight of the second term.

    Returns:
      float32 [C, L] in {-1, +1}, whose objective is not larger.
    """
    classes, bits = centers_CxL.shape
    count = len(shares_nxC) * bits
    counts_CxC = shares_nxC.T @ shares_nxC / count
    sums_CxL = shares_nxC.T @ codes_nxL / count
    target_CxC = bits * (2 * jnp.eye(classes) - 1)

    def bit(k, centers_CxL):
        # ||c c' + R||^2 = constant + 2 c'R c, with R of the other bits.
        others_CxL = centers_CxL.at[:, k].set(0)
        rest_CxC = others_CxL @ others_CxL.T - target_CxC
        cost_CxC = counts_CxC + 2 * separation / classes**2 * rest_CxC
        column_C = binary_quadratic.ascend(centers_CxL[:, k], -cost_CxC, 2 * sums_CxL[:, k])
        return centers_CxL.at[:, k].set(column_C)

    return jax.lax.fori_loop(0, bits, bit, centers_CxL)


def _shares(labels, classes):
    """Divides the 0/1 labels of each image by their number, [B, C]."""
    labels_BxC = one_hot(labels, classes)
    return labels_BxC / jnp.maximum(labels_BxC.sum(1, keepdims=True), 1)


def _codes(outputs_BxL, shares_BxC, centers_CxL, mu):
    """Returns sgn(mu c + u)."""
    return jnp.where(mu * shares_BxC @ centers_CxL + outputs_BxL > 0, 1.0, -1.0)
