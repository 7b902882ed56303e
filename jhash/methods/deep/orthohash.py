"""OrthoHash: one loss for all (Hoe et al. 2021).

Source: kamwoh/orthohash: functions/loss/orthohash.py, models/alexnet.py and main.py, by the
authors. A softmax over the cosines of an image's outputs and the fixed codes of the classes, its
centers, where the right class has a margin less. It replaces similarity, quantization and balance:
an output whose cosine with a code is 1 has that code, and BatchNorm on the outputs (the head, for
any model) makes each bit 1 for about half of the images.

Pairs: none; each image is compared with all centers.

Sums and means: the mean over images. Published: scale 8, margin 0.2 (0.3 for CIFAR-10), random
codes (`bernoulli`), no further quantization loss. `angular` puts the margin on the angle.

Several labels: the target is the same probability for each label of the image, and all of them have
the margin, as in that code's default ("label_smoothing"). An image without any label has the loss 0
(NaN in that code).

The layer before BatchNorm has no bias in that code. A bias that the model has there changes
nothing.

The database's codes are those that the model gives, with sgn(0) = -1; none are learned apart.
"""

import math

import jax.numpy as jnp

from jhash import config_fields, parallel
from jhash.errors import in_config
from jhash.losses import centers, pairwise
from jhash.methods import labels
from jhash.models.heads import HashNorm
from jhash.solvers import class_codes

FIELDS = {
    "codes": config_fields.choice(*class_codes.KINDS),
    "scale": config_fields.positive(),
    "margin": config_fields.number(),
    "angular": config_fields.boolean(),
}


def prepare(config, data, key):
    """Makes the `centers` [classes, bits] in {-1, +1}."""
    labels.check(config, data)
    with in_config({"bits": "config.bits"}):
        codes = class_codes.make(config.method.codes, key, data.num_classes, config.bits)
    return data, {"centers": codes}


def head(config, data):
    """Returns BatchNorm."""
    del config, data
    return HashNorm(parallel.AXIS)


def loss(outputs, batch, state, config):
    """Computes the mean cross-entropy, and the share of images whose nearest center is right."""
    method = config.method
    codes_CxL = state["centers"]
    directions_BxL = pairwise.unit_rows(outputs["hash"])
    products_BxC = jnp.matmul(directions_BxL, codes_CxL.T, precision="highest")
    cosines_BxC = products_BxC / math.sqrt(config.bits)
    loss_B = centers.cosine_margin_loss(
        cosines_BxC,
        batch["labels"],
        scale=method.scale,
        margin=method.margin,
        angular=method.angular,
    )
    return loss_B.mean(), {"accuracy": _accuracy(cosines_BxC, batch["labels"])}


def _accuracy(cosines_BxC, labels):
    """Returns the share of images whose nearest center is that of a class of theirs."""
    nearest_B = cosines_BxC.argmax(1)
    if labels.ndim == 1:
        return jnp.mean(nearest_B == labels)
    return jnp.mean(jnp.take_along_axis(labels, nearest_B[:, None], axis=1) == 1)


def hash_outputs(outputs):
    """Returns the outputs of the head."""
    return outputs["hash"]


def extra_results(config, data, state):
    """Returns the min distance between two centers."""
    del config, data
    return {"min_center_distance": float(class_codes.code_separation(state["centers"])[1])}
