"""DDSH: deep discrete supervised hashing (Jiang, Cui and Li 2018).

Source: the paper, and jiangqy/DDSH-TIP2018:trainDDSH.m by its authors. An epoch is an outer
iteration: draw 100 training images O, solve for their codes B bit by bit against the codes of all
others, then train the model on the others in several passes. The objective over pairs is

    sum_io (b_o . u_i - l S_io)^2 + sum_oo' (b_o . b_o' - l S_oo')^2,

where i is any training image that is not in O and u = tanh of the hash outputs. The problem of each
bit is never made worse, but the whole can rise: see `solvers.sampled_columns`. The loss is the
first sum as a mean over pairs, divided by l as well. (That program divides its gradient by other
numbers, which the rate of learning makes up for.)

S of similar pairs is 1, and of dissimilar pairs -r with r = similar pairs / dissimilar pairs among
the pairs with O, so that the sum of S is 0, as in that program. (Its authors set the similarity of
ambiguous pairs of NUS-WIDE to 0; here two images are similar if they share a label.)

The codes of an epoch are solved when the one before ends, from the model's signs for all training
images; those of the first epoch from random bits, as no model has been trained. The authors solve
for them again before each pass, against the outputs of the pass before. Their step of a bit is a
2-approximation by clustering, here it is an ascent; see `solvers.binary_quadratic`.

bit = u > 0, so sgn(0) = -1. The database's codes are those that the model gives; none are learned
apart.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash import config_fields, rng
from jhash.errors import InputError
from jhash.losses import asymmetric, pairwise
from jhash.methods import labels, training_rows
from jhash.solvers import sampled_columns

FIELDS = {"columns": config_fields.integer(2), "passes": config_fields.integer(1, 1000)}


def prepare(config, data, key):
    """Draws the first O and solves for its codes.

    The state has the `columns`, int32 [M], which are O as images of the source, their `labels`,
    their `codes` [M, bits] in {-1, +1}, S of a dissimilar pair, `dissimilar`, and the `round`, the
    number of draws before.

    Raises:
      InputError: No training image has a label, or all of them would be drawn.
    """
    labels.check(config, data)
    if config.method.columns >= len(data.train):
        raise InputError(
            f"config.method.columns: {config.method.columns} given; allowed: up to "
            f"{len(data.train) - 1}, as the model is trained on the training images that are left."
        )
    codes = jax.random.rademacher(key, (len(data.train), config.bits), jnp.float32)
    return data, _solve(config, data, codes, 0)


def begin_epoch(config, data, state, epoch, key):
    """Takes all training images but O, shuffled for each pass."""
    del epoch
    others = np.setdiff1d(data.train, np.asarray(state["columns"]))
    return training_rows.draw(others, len(others), config.method.passes, key)


def loss(outputs, batch, state, config):
    """Computes the first sum as a mean over images of the batch, images in O, and bits."""
    del config
    similar = pairwise.similar(batch["labels"], state["labels"])
    s_BxM = jnp.where(similar > 0, 1.0, state["dissimilar"])
    codes = state["codes"]
    gram = jnp.matmul(codes.T, codes, precision="highest")
    u = jnp.tanh(outputs)
    values = asymmetric.code_loss(u, gram, codes, s_BxM, jnp.ones(len(codes)))
    mean = values.sum() / (u.size * len(codes))
    return mean, {"similarity": mean}


def end_epoch(config, data, state, indices, encode):
    """Draws the next O and solves for its codes, given the outputs of all training images."""
    del indices
    codes = jnp.where(encode(data.train) > 0, 1.0, -1.0)
    error = jnp.mean(codes[training_rows.rows(data)[state["columns"]]] != state["codes"])
    new = _solve(config, data, codes, int(state["round"]) + 1)
    # The share of bits in which the model and the solved codes disagree. The model was not trained
    # on these images.
    return new, {"bit_error_rate": error}


def _solve(config, data, codes_NxL, drawn_before):
    """Draws O, and solves for its codes against those of the other training images."""
    key = rng.stream(config.seed, "columns", drawn_before)
    sampled = np.asarray(jax.random.permutation(key, len(data.train))[: config.method.columns])
    columns = data.train[sampled]
    similar = pairwise.similar(data.labels(data.train), data.labels(columns))
    count = float(similar.sum(dtype=jnp.float32))
    dissimilar = -count / max(similar.size - count, 1.0)
    solved = sampled_columns.solve(codes_NxL, jnp.where(similar > 0, 1.0, dissimilar), sampled)
    return {
        "columns": columns.astype(np.int32),
        "labels": data.labels(columns),
        "codes": solved,
        "dissimilar": np.asarray(dissimilar, np.float32),
        "round": np.asarray(drawn_before, np.int32),
    }
