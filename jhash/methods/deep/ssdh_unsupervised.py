"""SSDH, without labels: semantic structure-based deep hashing (Yang, Deng, Liu et al. 2018).

Not to be confused with the supervised SSDH of another Yang (`ssdh_supervised`).

Source: yangerkun/IJCAI2018_SSDH:main.py, by the authors. Before training, the distances of features
of a frozen network, the teacher, say which pairs are clearly similar (S = 1) and which clearly
dissimilar (S = -1); see `solvers.distance_tails`. The others, with S = 0, are not learned from. The
model then learns to give pairs these inner products.

Pairs: all of a batch, i = j among them as in that code.

Sums and means: mean |S_ij| (u_i . u_j / L - S_ij)^2 over all pairs, those without a weight among
them, where u is tanh of the outputs.

The thresholds are of 5,000 training images, as many as were trained on there, or all if there are
fewer. S is never stored: the distances of a batch are computed again. There the features are those
of a VGG16 with ImageNet weights, which is then the model, too; here any model may learn from any
teacher. The features are centered only if `center` says so; published they are not, and the rule
supposes a histogram with one mode.

sgn(0) = -1. The database's codes are those that the model gives; none are learned apart.
"""

import jax.numpy as jnp
import numpy as np

from jhash import config_fields, rng
from jhash.losses import pairwise
from jhash.methods import teachers
from jhash.solvers import distance_tails, draws

FIELDS = {
    **teachers.FIELDS,
    # The number of standard deviations from the mode at which a pair is clear.
    "deviations": config_fields.number(0, 100),
}
_SAMPLES = 5000


def prepare(config, data, key):
    """Makes room for the teacher's directions, and for the thresholds `near` and `far`."""
    data, state = teachers.prepare(config, data, key)
    return data, {**state, "near": jnp.zeros(()), "far": jnp.zeros(())}


def pretrain(config, data, params, state, folder):
    """Computes the directions and the thresholds."""
    params, state = teachers.pretrain(config, data, params, state, folder)
    key = rng.stream(config.seed, "thresholds")
    rows = draws.places(key, _SAMPLES, len(data.train))
    near, far = distance_tails.thresholds(state["directions"][rows], config.method.deviations)
    return params, {**state, "near": np.float32(near), "far": np.float32(far)}


def loss(outputs, batch, state, config):
    """Computes the mean of the weighted squared errors, and the shares of clear pairs."""
    del config
    distance_BxB = 1 - teachers.cosines(teachers.of_batch(state, batch))
    near_BxB, far_BxB = distance_BxB < state["near"], distance_BxB > state["far"]
    target_BxB = near_BxB.astype(jnp.float32) - far_BxB
    values_BxB = jnp.abs(target_BxB) * pairwise.difference_loss(jnp.tanh(outputs), target_BxB)
    return values_BxB.mean(), {"similar": near_BxB.mean(), "dissimilar": far_BxB.mean()}


def extra_results(config, data, state):
    """Returns the thresholds of the teacher's distances, 1 minus the cosine."""
    del config, data
    return {"thresholds": {"similar": float(state["near"]), "dissimilar": float(state["far"])}}
