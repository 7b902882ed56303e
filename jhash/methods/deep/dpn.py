"""DPN: deep polarized network (Fan, Ng, Ju, Zhang and Chan 2020).

Source: kamwoh/DPN: scripts/train_hashing.py and main.py, by the authors. Each class has a fixed
code, its center, and each output u_l of an image is pushed beyond a margin m on the side of the
center's bit t_l: sum_l max(0, m - u_l t_l). With several labels the sum is over the centers of all
classes of the image, too, so a bit in which two of them differ costs 2 m or more.

Pairs: none; each image is compared with its centers.

Sums and means: the sum over bits and the mean over images, as in that code, with its m = 1. The
weight of the mean square of the outputs is 0 there, too; 0.001 is said to help.

Centers: `bernoulli`, as published, save that two classes never get the same code. Random codes of
ten classes are often 2 bits apart at 12 bits; `codes=far_apart` is 5 bits apart.

Renewal: with `renew_every` above 0, after every so many epochs each center becomes the majority of
the codes of its class's training images, where a tie keeps the bit. That code takes the outputs
that the model gave in the course of the epoch; here the model encodes the images after it. It takes
the first of several labels for the class; here the images of a class are all that have its label. A
class without images keeps its center. If two classes would get the same center, no center changes.

The database's codes are those that the model gives, with sgn(0) = -1; none are learned apart.
"""

import jax.numpy as jnp

from jhash import config_fields
from jhash.errors import in_config
from jhash.losses import centers
from jhash.methods import labels
from jhash.solvers import class_codes
from jhash.solvers.label_groups import one_hot

FIELDS = {
    "codes": config_fields.choice(*class_codes.KINDS),
    "margin": config_fields.positive(),
    "square": config_fields.number(),
    "renew_every": config_fields.integer(0, 10**6),
}


def prepare(config, data, key):
    """Makes the `centers` [classes, bits] in {-1, +1}, and the number of `epochs` done."""
    labels.check(config, data)
    with in_config({"bits": "config.bits"}):
        codes = class_codes.make(config.method.codes, key, data.num_classes, config.bits)
    return data, {"centers": codes, "epochs": jnp.zeros((), jnp.int32)}


def loss(outputs, batch, state, config):
    """Computes the mean distance from the right side of the margin."""
    method = config.method
    labels_BxC = one_hot(batch["labels"], len(state["centers"]))
    polarization_B = centers.polarization_loss(
        outputs, labels_BxC @ state["centers"], margin=method.margin, count_B=labels_BxC.sum(1)
    )
    terms = {
        "polarization": polarization_B.mean(),
        "square": method.square * jnp.square(outputs).mean(),
    }
    return terms["polarization"] + terms["square"], terms


def end_epoch(config, data, state, indices, encode):
    """Renews the centers, if it is time."""
    del indices
    epochs = state["epochs"] + 1
    if not config.method.renew_every or int(epochs) % config.method.renew_every:
        return {**state, "epochs": epochs}, {}
    labels_nxC = one_hot(data.labels(data.train), data.num_classes)
    codes_nxL = jnp.where(encode(data.train) > 0, 1.0, -1.0)
    votes_CxL = labels_nxC.T @ codes_nxL
    renewed_CxL = jnp.where(votes_CxL == 0, state["centers"], jnp.sign(votes_CxL))
    distinct, distance = class_codes.code_separation(renewed_CxL)
    if distinct < data.num_classes:
        return {**state, "epochs": epochs}, {"renewed": 0}
    metrics = {"renewed": 1, "min_center_distance": distance}
    return {"centers": renewed_CxL, "epochs": epochs}, metrics


def extra_results(config, data, state):
    """Returns the min distance between two centers."""
    del config, data
    return {"min_center_distance": float(class_codes.code_separation(state["centers"])[1])}
