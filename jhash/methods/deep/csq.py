"""CSQ: central similarity quantization (Yuan et al. 2020).

Source: yuanli2333/Hadamard-Matrix-for-hashing: train.py and the notebook of hash centers, by the
authors. Each class has a fixed code, its center, and each image is pulled to the center of its
class; with several labels, to the majority of the centers of its classes, where ties are broken by
a random code of the run. The pairwise term of that code has the weight 0 in all of its commands,
and is not here.

Pairs: none; each image is compared with its center.

Sums and means: means over images and bits, as in that code, so the weights are the published ones:
0.05 for a ResNet50, 0.0001 to 0.001 for an AlexNet. (An image without any label has no center, and
a loss of 0 in that mean. In that code its center, a mean of nothing, is NaN.)

Centers: `hadamard`, the published ones, save that the rows are drawn and half of them negated; see
`solvers.class_codes.hadamard`. With 12, 24 or 48 bits the published rule is another: random codes
with as many ones as zeros.

The cross-entropy is computed from 2 u, where u are the hash outputs, as (tanh u + 1) / 2 =
sigmoid(2 u). Public code takes logarithms of the rounded tanh, and clips them.

The database's codes are those that the model gives, with sgn(0) = -1; none are learned apart.
"""

import jax
import jax.numpy as jnp

from jhash import config_fields
from jhash.errors import in_config
from jhash.losses import centers, quantization
from jhash.methods import labels
from jhash.solvers import class_codes

FIELDS = {
    "codes": config_fields.choice(*class_codes.KINDS),
    "quantization": config_fields.number(),
}


def prepare(config, data, key):
    """Makes the `centers` [classes, bits], and the code `tie` [bits]; both are in {-1, +1}."""
    labels.check(config, data)
    centers_key, tie_key = jax.random.split(key)
    with in_config({"bits": "config.bits"}):
        codes = class_codes.make(config.method.codes, centers_key, data.num_classes, config.bits)
    return data, {"centers": codes, "tie": class_codes.bernoulli(tie_key, 1, config.bits)[0]}


def loss(outputs, batch, state, config):
    """Computes the mean cross-entropy with the centers plus the weighted quantization loss."""
    targets = class_codes.of_labels(state["centers"], batch["labels"], state["tie"])
    center_B = centers.central_similarity(outputs, targets)
    if batch["labels"].ndim == 2:
        center_B = jnp.where(batch["labels"].any(1), center_B, 0)
    distance = quantization.sign_loss(jnp.tanh(outputs)).mean() / config.bits
    terms = {"center": center_B.mean(), "quantization": config.method.quantization * distance}
    return terms["center"] + terms["quantization"], terms


def extra_results(config, data, state):
    """Returns the min distance between two centers."""
    del config, data
    return {"min_center_distance": float(class_codes.code_separation(state["centers"])[1])}
