"""UHSCM: similarities of concepts that a vision-language model finds in images (Tu et al. 2023).

Source: rongchengtu1/UHSCM:UHSCM.py and sim_generator/generate_sim.py, by the authors. Each of m
concepts has a score in each image, the cosine of CLIP's embeddings of the image and of a prompt
with the concept's name, which becomes a probability by a softmax with the factor 3 m. Concepts that
are the best of no more than n / (2 m) images are dropped, and those that are left, m' of them, get
probabilities p by a softmax with the factor 3 m'. The similarity of two images is
2 cos(p_i, p_j) - 1.

CLIP is not a part of jhash: `scores` is an .npy file with these cosines, one row per image of the
source and a column per concept. docs/methods.md has more of it.

Pairs: all of a batch, i = j among them as in that code.

Sums and means: the mean over pairs of (cos(u_i, u_j) - s_ij)^2; the mean over images of the squared
distance from the code, summed over bits, with its published weight of 0.001; and the mean over
similar pairs, s >= 0.8, of `contrastive.similar_pairs_loss` with the weight 0.2 and the temperature
0.2. That code reads the last three numbers from its command line and has no defaults for them; the
values here are from second hand.

bit = u > 0. The database's codes are those that the model gives; none are learned apart.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash import config_fields
from jhash.errors import InputError, in_config
from jhash.losses import contrastive, pairwise, quantization
from jhash.methods import teachers, training_rows
from jhash.system import npy

FIELDS = {
    "scores": config_fields.text(),
    # The factor of the softmax is this times the number of concepts.
    "sharpness": config_fields.positive(1e4),
    "quantization": config_fields.number(),
    "contrast": config_fields.number(),
    "similar": config_fields.number(-1, 1),
    "temperature": config_fields.positive(100),
}
_FIELD = "config.method.scores"


def prepare(config, data, key):
    """Makes room for the probabilities.

    The state has `concepts`, float32 [n, m], which are 0 before `pretrain`, and `rows`, int32, the
    row of each image of the source in them. Without a file of scores m is 1.
    """
    del key
    concepts = _check(config, data) if config.method.scores else 1
    concepts_Nxm = jnp.zeros((len(data.train), concepts))
    return data, {"concepts": concepts_Nxm, "rows": training_rows.rows(data)}


def check(config, data):
    """Refuses to train without a file of scores."""
    if not config.method.scores:
        raise InputError(
            f"{_FIELD}: none given; allowed: an .npy file with a row of concept scores for each of "
            f"the {len(data.source)} images of the source."
        )


def pretrain(config, data, params, state, folder):
    """Reads the scores, and computes the probabilities."""
    del folder
    with in_config({"path": _FIELD}):
        scores_Nxm = npy.read(config.method.scores, data.train).astype(np.float32)
    if not np.isfinite(scores_Nxm).all():
        raise InputError(
            f"{_FIELD}: {config.method.scores} given, which holds NaN or infinity; allowed: finite "
            "scores."
        )
    return params, {**state, "concepts": probabilities(scores_Nxm, config.method.sharpness)}


def probabilities(scores_Nxm: np.ndarray, sharpness: float) -> np.ndarray:
    """Computes the probabilities of the concepts that are left.

    Args:
      scores_Nxm: Scores, float.
      sharpness: Factor of the softmax, over the number of concepts.

    Returns:
      float32 [N, m], whose rows have the sum 1; the columns of dropped concepts are 0.
    """
    images, concepts = scores_Nxm.shape
    counts_m = np.bincount(scores_Nxm.argmax(1), minlength=concepts)
    left_m = counts_m > 0.5 * images / concepts
    logits_Nxm = np.where(left_m, sharpness * left_m.sum() * scores_Nxm, -np.inf)
    return np.asarray(jax.nn.softmax(logits_Nxm, axis=1), np.float32)


def loss(outputs, batch, state, config):
    """Computes the weighted sum of the three terms."""
    method = config.method
    similarity_BxB = 2 * teachers.cosines(state["concepts"][state["rows"][batch["index"]]]) - 1
    similar_BxB = similarity_BxB >= method.similar
    errors_BxB = pairwise.difference_loss(outputs, similarity_BxB, cosine=True)
    contrast_BxB = contrastive.similar_pairs_loss(
        outputs, similar_BxB, temperature=method.temperature
    )
    contrast = contrast_BxB.sum() / jnp.maximum(similar_BxB.sum(), 1)
    terms = {
        "structure": errors_BxB.mean(),
        "quantization": method.quantization * quantization.sign_loss(outputs).mean(),
        "contrast": method.contrast * contrast,
    }
    return sum(terms.values()), terms


def extra_results(config, data, state):
    """Returns the number of concepts that are left."""
    del config, data
    return {"concepts": int((np.asarray(state["concepts"]) > 0).any(0).sum())}


def _check(config, data):
    """Returns the number of concepts in the file of scores."""
    with in_config({"path": _FIELD}):
        shape = npy.shape(config.method.scores)
    if len(shape) != 2 or shape[0] != len(data.source) or not shape[1]:
        raise InputError(
            f"{_FIELD}: {config.method.scores} of shape {list(shape)} given; allowed: "
            f"[{len(data.source)}, m], one row per image of the source."
        )
    return shape[1]
