"""AIHN: the attention-aware invertible hashing network (Li et al. 2020).

The method is the loss, on the plain outputs u of any network (AIHN-AI: `alexnet.AlexNet`): a
pairwise likelihood and a quantisation term, eq. 9. It learns no codes beside the network's.
"""

import math

import numpy as np

from jhash.errors import InputError
from jhash.losses import pairwise, quantization


def prepare(config, data, key):
    """Checks weight and batch size; there is no state. Class ids and label rows both do."""
    del key
    weight = config.method.quantization
    if not 0 <= weight < math.inf:
        raise InputError(
            f"config.method.quantization: {weight} given; allowed is a finite number >= 0."
        )
    if config.batch_size < 2:
        raise InputError(
            f"config.batch_size: {config.batch_size} given; allowed is at least 2, as the loss is "
            "over pairs of a batch."
        )
    return data, {}


def loss(outputs, batch, state, config):
    """Eq. 9 with means: over the ordered pairs i != j (eq. 7) and over the images (eq. 8).

    mean_ij -(s_ij beta_ij - log(1 + e^beta_ij)) + lambda mean_i ||sgn(u_i) - u_i||^2, beta_ij =
    u_i . u_j / 2. Lambda is `config.method.quantization`; the paper gives 10 for CIFAR-10 and 100
    for NUS-WIDE. It prints sums, whose balance depends on the batch size: over B (B - 1) pairs and
    B images, its lambda weighs as much as lambda / (B - 1) does here, 10 at batch 64 as 0.16.
    """
    del state
    similar = pairwise.similar(batch["labels"])
    likelihood = pairwise.likelihood_loss(outputs, similar)
    terms = {
        "likelihood": pairwise.mean_over_pairs(likelihood),
        "quantization": config.method.quantization * quantization.sign_loss(outputs).mean(),
    }
    return terms["likelihood"] + terms["quantization"], terms


def hash_outputs(outputs):
    """The outputs, if all are finite: an invertible network marks images that it cannot keep.

    A NaN would otherwise become a bit like any other.

    Args:
      outputs: Real [B, bits], not traced.

    Raises:
      InputError: An output is NaN or infinite.
    """
    bad = ~np.isfinite(outputs).all(1)
    if bad.any():
        raise InputError(
            "an image left the range of the lattice, or the network diverged: "
            f"{bad.sum()} of {len(bad)} images have outputs that are not finite; with "
            "config.model.lattice set, fewer fractional bits give a wider range."
        )
    return outputs
