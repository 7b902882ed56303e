"""HHF: hashing-guided hinge function (Xu et al. 2022), in Proxy Anchor.

Source: JerryXu0129/HHF: model.py ("anchor") and config.py, by the authors. Each class has a learned
direction, its proxy (the head, for any model). Images are pulled to the proxies of their classes
and pushed from the others, as far as their cosine is on the wrong side of a hinge. For the others
the hinge is not at -1 but at zeta, the cosine of codes that are as far apart as those of so many
classes can be: 1 - 2 d / bits.

Pairs: none; each image of the batch is compared with all proxies.

Sums and means: in each class a logarithm of a sum over the images of the batch. The mean over the
classes that have images in the batch, and the mean over all classes for the images of others, as in
that code, with its alpha = 16 and delta = 0.2. Its quantization term is a sum over images with the
weight 0.001 at batches of 85; the term here is the mean over images of ||u - sgn u||^2, whose
weight is 0.085 therefore.

d: that code reads it from a table of linear codes, for 2^k codes with the smallest k that is
enough. Here it is Griesmer's bound for the same (`solvers.code_bounds`), which is that of the best
code or a little more.

Several labels: an image belongs to all of its classes. sgn(0) = -1, not 0 as in that code. The
database's codes are those that the model gives; none are learned apart.
"""

import jax.numpy as jnp

from jhash import config_fields
from jhash.losses import proxy, quantization
from jhash.methods import labels
from jhash.models.heads import Proxies
from jhash.solvers import code_bounds
from jhash.solvers.label_groups import one_hot

FIELDS = {
    # The exponents of the loss are up to 2 alpha, and e^88 is the largest float.
    "alpha": config_fields.number(1e-3, 40),
    "delta": config_fields.number(0, 1),
    "quantization": config_fields.number(),
}


prepare = labels.prepare


def head(config, data):
    """Returns the proxies."""
    del config
    return Proxies(data.num_classes)


def loss(outputs, batch, state, config):
    """Computes the sum of both hinges plus the weighted quantization loss."""
    del state
    method, cosines_BxC = config.method, outputs["cosines"]
    classes = cosines_BxC.shape[1]
    far_C, near_C = proxy.hinge_anchor_loss(
        cosines_BxC,
        batch["labels"],
        alpha=method.alpha,
        delta=method.delta,
        threshold=1 - 2 * code_bounds.griesmer(classes, config.bits) / config.bits,
    )
    present = one_hot(batch["labels"], classes).any(0).sum()
    terms = {
        "far": far_C.sum() / jnp.maximum(present, 1),
        "near": near_C.mean(),
        "quantization": method.quantization * quantization.sign_loss(outputs["hash"]).mean(),
    }
    return sum(terms.values()), terms


def hash_outputs(outputs):
    """Returns the outputs of the hash layer."""
    return outputs["hash"]
