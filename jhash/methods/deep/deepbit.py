"""DeepBit: binary descriptors that rotations do not change (Lin, Lu, Chen and Zhou 2016).

The terms are those of the paper as its released code computes them forward, and they have their own
gradients. In kevinlin311tw/cvpr16-deepbit:src/caffe/layers/ they do not: the backward passes of the
first two terms give one number, a sum over the batch, to every output, and that of the third leaves
out the weights of the angles. So the published numbers are of another training, and nobody should
expect them here.

With bits b = [u > 0] there are three terms. Their weights alpha, beta and gamma are published as 1,
1 and 0.001 (there each term is halved, too). The first, quantization, is ||(b - 1/2) - u||^2,
summed over the bits, the mean over images; b is constant in it. The second, balance, is (mean over
the batch of b_l - 1/2)^2, summed over the bits. A bit has no gradient of its own; in the balance it
has half of that of the output, as b = (sgn(u) + 1) / 2 and sgn is differentiated as if it were the
identity (a straight-through estimator). The third, rotation, is the sum over further views of
e^{-k^2 / 2} ||u - u_k||^2, the mean over images, where view k is turned by k times
`config.augment.rotate_step` degrees. It compares outputs and not bits.

The released code turns images by -10, -5, 0, 5 and 10 degrees, and has its threshold at 1/2 behind
a ReLU; that is u > 0 with u less by 1/2, but for the ReLU. The first two terms are of the first
view here, which is not turned. Its two stages of training are not here.

Nothing in the objective tells images apart: it has trivial minima, and learns from what the model
is at the start. `constant_bits` and `duplicate_bits` of the results tell how far it collapsed.

sgn(0) = -1. The database's codes are those that the model gives; none are learned apart.
"""

import math

import jax.numpy as jnp

from jhash import config_fields
from jhash.data import augment
from jhash.errors import InputError
from jhash.losses import quantization
from jhash.models.heads import straight_through

FIELDS = {name: config_fields.number() for name in ("alpha", "beta", "gamma")}


def prepare(config, data, key):
    """Checks that there are turned views; there is no state."""
    del key
    if config.augment.views < 2 or not config.augment.get("rotate_step", 0.0):
        raise InputError(
            f"config.augment.rotate_step: {config.augment.get('rotate_step', 0.0)} given with "
            f"{config.augment.views} views; allowed: more than 0, and 2 or more in "
            "config.augment.views, as deepbit compares turned views."
        )
    return data, {}


def loss(outputs, batch, state, config):
    """Computes the weighted sum of the three terms."""
    del batch, state
    method, first_BxL = config.method, outputs[0]
    # Half of the distance of 2 u from its code in {-1, +1}.
    distance = quantization.sign_loss(2 * first_BxL).mean() / 4
    share_L = straight_through.sign(first_BxL).mean(0) / 2  # Of ones, minus 1/2.
    rotation = 0.0
    for view in range(1, len(outputs)):
        weight = math.exp(-(augment.view_turn(view) ** 2) / 2)
        rotation += weight * jnp.square(outputs[view] - first_BxL).sum(1).mean()
    terms = {
        "quantization": method.alpha * distance,
        "balance": method.beta * jnp.square(share_L).sum(),
        "rotation": method.gamma * rotation,
    }
    return sum(terms.values()), terms
