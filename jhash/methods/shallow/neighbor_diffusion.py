"""A function of features that is fitted to diffused codes; see `jhash.methods.diffused_codes`.

Source: none, jhash's own. The samples get codes from features that were spread along their graph of
nearest neighbors. A ridge regression on Gaussian kernels at 1,000 anchors learns them, so that
images outside the graph have codes, too; the database has those of the fitted function. Without
labels.

Shapes in names: N samples, z features, C components, M anchors, L bits.
"""

import jax
import numpy as np
import scipy.linalg

from jhash import config_fields
from jhash.methods import diffused_codes
from jhash.methods.diffused_codes import NEIGHBORS, ROUNDS, WEIGHT
from jhash.solvers import anchor_kernel, moments

FIELDS = {
    **diffused_codes.FIELDS,
    # The max is that of the samples from which `jhash.methods.fitting` takes shapes.
    "anchors": config_fields.integer(1, 2048),
}
QUICK = {"rounds": 1}

# Width of the kernel as a multiple of the root mean square distance to the anchors, and the ridge
# per sample.
_WIDTH = 0.5
_RIDGE = 3e-5


def fit(
    features: jax.Array,
    labels: None,
    bits: int,
    key: jax.Array,
    *,
    neighbors: int = NEIGHBORS,
    weight: float = WEIGHT,
    rounds: int = ROUNDS,
    anchors: int = 1000,
) -> dict[str, jax.Array]:
    """Computes the codes of the samples, and fits the function to them.

    Args:
      features: float [N, z]; only their directions count.
      labels: Unused.
      bits: Code length, at most min(N, z).
      key: PRNG key of the first rotation and of the anchors.
      neighbors: Number of neighbors of a sample in the graph.
      weight: Share of the neighbors in a round, 0 to below 1.
      rounds: Number of rounds.
      anchors: Number of anchors, of which there are no more than samples.

    Returns:
      The fields of `diffused_codes.reduction` and those of `anchor_kernel.as_layer`.

    Raises:
      InputError: There are fewer than two samples, or fewer samples or features than bits.
    """
    del labels
    code_key, anchor_key = jax.random.split(key)
    reduction = diffused_codes.reduction(features, bits)
    x_NxC = diffused_codes.reduce(reduction, features)
    codes_NxL = diffused_codes.outputs(x_NxC, bits, code_key, neighbors, weight, rounds) > 0
    kernel = anchor_kernel.draw(x_NxC, anchors, _WIDTH, anchor_key)
    phi_NxM = np.asarray(anchor_kernel.apply(kernel, x_NxC))
    return reduction | anchor_kernel.as_layer(kernel, *_regression(phi_NxM, codes_NxL))


def encode(params: dict[str, jax.Array], features: jax.Array) -> jax.Array:
    """Computes hash outputs, float32 [N, bits].

    Args:
      params: Result of `fit`.
      features: float [N, z].
    """
    return anchor_kernel.apply_layer(params, diffused_codes.reduce(params, features))


def _regression(phi_NxM, codes_NxL):
    """Fits weights [M, L] and bias [L] to codes of -1 and 1, with a ridge on the weights."""
    y_NxL = np.where(codes_NxL, 1.0, -1.0)
    phi_M, y_L = moments.mean(phi_NxM), y_NxL.mean(0)
    centered_NxM = phi_NxM - np.float32(phi_M)
    gram_MxM = moments.product(centered_NxM, centered_NxM)
    gram_MxM[np.diag_indices_from(gram_MxM)] += _RIDGE * len(phi_NxM)
    right_MxL = moments.product(centered_NxM, y_NxL - y_L)
    weights_MxL = scipy.linalg.solve(gram_MxM, right_MxL, assume_a="pos")
    return weights_MxL, y_L - phi_M @ weights_MxL
