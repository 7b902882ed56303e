"""AIHN: the attention-aware invertible hashing network (Li et al. 2020).

The method is only a loss on the outputs u of any model: a pairwise likelihood plus a quantization
term, eq. 9. With `invertible_net.InvertibleNet` it is AIHN, with `alexnet.AlexNet` AIHN-AI. It
learns no codes apart from those that the model gives.
"""

import jax
import numpy as np

from jhash import config_fields
from jhash.errors import InputError
from jhash.losses import pairwise, quantization
from jhash.methods import pairs

FIELDS = {"quantization": config_fields.number()}

prepare = pairs.prepare


def loss(outputs, batch, state, config):
    """Computes eq. 9 with means: over the ordered pairs i != j (eq. 7) and the images (eq. 8).

    mean_ij -(s_ij beta_ij - log(1 + e^beta_ij)) + lambda mean_i ||sgn(u_i) - u_i||^2, where
    beta_ij = u_i . u_j / 2 and lambda is `config.method.quantization`.

    The paper prints sums, over the n training images and over their pairs. A batch holds another
    share of the pairs than of the images, so that only means keep the balance of the two. Pairs are
    ordered: DPSH, from which the paper has the loss, differentiates the terms of both orders, and
    j != i excludes nothing but an image's pair with itself. So the paper's lambda corresponds to
    lambda / (n - 1) here: 10 at the n = 5,000 of CIFAR-10 is 0.002, and 100 at the n = 10,000 of
    NUS-WIDE is 0.01. Unordered pairs would double it. Sums over the 64 images of a batch would make
    it 0.16, which costs MAP; see docs/reproduce/aihn.md.
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
    """Returns the outputs if all are finite.

    An invertible model gives NaN for an image that leaves the range of its lattice. Unchecked, a
    NaN would become a bit like any other. While a model is exported its outputs are traced, and
    nothing can be checked.

    Args:
      outputs: Real [B, bits].

    Raises:
      InputError: An output is NaN or infinite.
    """
    if isinstance(outputs, jax.core.Tracer):
        return outputs
    bad = ~np.isfinite(outputs).all(1)
    if bad.any():
        raise InputError(
            f"outputs: NaN or infinity given for {bad.sum()} of {len(bad)} images; allowed: finite "
            "numbers. These images left the range of the lattice, or the model diverged. Fewer "
            "fractional bits, config.model.lattice, give a wider range."
        )
    return outputs
