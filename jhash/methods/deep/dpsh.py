"""DPSH: deep pairwise-supervised hashing (Li, Wang and Kang 2016).

Source: the paper, and jiangqy/DPSH-pytorch:DPSH_CIFAR_10.py of the same group. The loss is a
pairwise likelihood of the real outputs u plus their distance from the codes sgn(u), sgn(0) = -1.

Pairs: with `pairs = "batch"` the images of a batch with each other. With `pairs = "table"`, as in
the code of the group, the images of a batch with all n training images, by a table of their last
outputs: outputs of earlier epochs, from earlier weights, and 0 before an image was first seen.

Sums and means: the paper has sums over ordered pairs and over images, with the weight eta. Means in
their place have the weight eta / n. The code has eta = 50 and n = 5,000, which gives the default of
0.01. (Both of a pair have a gradient within a batch,
but only one has it with the table, so that there the same weight counts double.)

The database's codes are those that the model gives; none are learned apart.
"""

import jax
import jax.numpy as jnp

from jhash import config_fields
from jhash.losses import pairwise, quantization
from jhash.methods import pairs, training_rows

PAIRS = ("batch", "table")
FIELDS = {"pairs": config_fields.choice(*PAIRS), "quantization": config_fields.number()}


def prepare(config, data, key):
    """Makes the table, if there is one.

    The state then has the `table` [n, bits] of outputs, the `labels` of its n rows, class ids or
    rows of 0/1, and `rows`, int32, the row of each image of the source that is a training image.
    """
    data, state = pairs.prepare(config, data, key)
    if config.method.pairs == "table":
        table = jnp.zeros((len(data.train), config.bits))
        labels = data.labels(data.train)
        state = {"table": table, "rows": training_rows.rows(data), "labels": labels}
    return data, state


def loss(outputs, batch, state, config):
    """Computes the mean over pairs of the likelihood plus the mean over images of the distance.

    mean_ij -(s_ij theta_ij - log(1 + e^theta_ij)) + lambda mean_i ||sgn(u_i) - u_i||^2, where
    theta_ij = u_i . u_j / 2 and lambda is `config.method.quantization`. Within a batch the pairs
    are those with i != j. The table has the outputs of this step, and an image is paired with
    itself as well, as in the code of the group.
    """
    if config.method.pairs == "table":
        similar = pairwise.similar(batch["labels"], state["labels"])
        table = after_step(jax.lax.stop_gradient(outputs), batch, state, config)["table"]
        likelihood = pairwise.likelihood_loss(outputs, similar, others_NxL=table).mean()
    else:
        similar = pairwise.similar(batch["labels"])
        likelihood = pairwise.mean_over_pairs(pairwise.likelihood_loss(outputs, similar))
    distance = config.method.quantization * quantization.sign_loss(outputs).mean()
    return likelihood + distance, {"likelihood": likelihood, "quantization": distance}


def after_step(outputs, batch, state, config):
    """Writes the outputs of a batch into the table."""
    if config.method.pairs == "batch":
        return state
    rows = state["rows"][batch["index"]]
    return {**state, "table": state["table"].at[rows].set(outputs)}
