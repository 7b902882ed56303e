"""A frozen pretrained network as the teacher of methods that learn without labels.

Its features of the training images are computed once, before the first epoch, and kept in the run's
folder like those of shallow methods. The state has their directions, which a loss reads by the
images' places in the source. `config.method` has the fields

    features  the network, or a file of features; see `jhash.pretrained.features`
    center    whether to subtract the mean of the training images from the features; after a ReLU
              they all point to one side
    diffused  whether to spread the features among nearest neighbors after that, which is jhash's
              own and no paper's; see `methods.diffused_codes`

The directions are kept in float16, which changes a cosine by less than 0.001; a checkpoint holds
them, 2 bytes per feature and training image.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash import config_fields
from jhash.errors import InputError
from jhash.losses import pairwise
from jhash.methods import diffused_codes, training_rows
from jhash.pretrained import features
from jhash.solvers import factored_graph

# Which pairs of a batch are compared: each image with the one half a batch on, or all.
PAIRS = ("halves", "all")
FIELDS = {
    "features": features.FIELDS,
    "center": config_fields.boolean(),
    "diffused": config_fields.boolean().added(False),
}


def prepare(config, data, key):
    """Makes room for the directions.

    The state has the `directions` of the features, float16 [n, z], which are 0 before `pretrain`,
    and `rows`, int32, the row of each image of the source in them.

    Raises:
      InputError: The features cannot be computed, or a batch has a single image, or an odd number
        of them for `pairs="halves"`.
    """
    del key
    halves = config.method.get("pairs") == "halves"
    if config.batch_size < 2 or (halves and config.batch_size % 2):
        allowed = "even numbers" if halves else "2 or more"
        raise InputError(
            f"config.batch_size: {config.batch_size} given; allowed: {allowed}, since the images "
            "of a batch form pairs."
        )
    width = features.check(config.method.features, data.source)
    if config.method.get("diffused", False):
        width = diffused_codes.width(len(data.train), width)
    directions_Nxz = jnp.zeros((len(data.train), width), jnp.float16)
    return data, {"directions": directions_Nxz, "rows": training_rows.rows(data)}


def pretrain(config, data, params, state, folder):
    """Computes the directions."""
    workers = config.data.get("workers", 0)
    v_Nxz = features.load(config.method.features, data.source, data.train, folder, workers)
    if config.method.center:
        v_Nxz = v_Nxz - v_Nxz.mean(0, dtype=np.float64).astype(np.float32)
    directions_Nxz = np.asarray(factored_graph.unit(v_Nxz))
    if config.method.get("diffused", False):
        directions_Nxz = np.asarray(diffused_codes.graph(v_Nxz).left)
    if (directions_Nxz == directions_Nxz[0]).all():
        raise InputError(
            f"config.method.features: features of one direction for all {len(v_Nxz)} images given; "
            "allowed: features that differ, since the model learns how they differ."
        )
    return params, {**state, "directions": directions_Nxz.astype(np.float16)}


def of_batch(state, batch) -> jax.Array:
    """Returns the directions of the images of a batch, float32 [B, z]."""
    return state["directions"][state["rows"][batch["index"]]].astype(jnp.float32)


def cosine_error(codes_BxL: jax.Array, x_Bxz: jax.Array, pairs: str) -> jax.Array:
    """Computes the mean squared error of the cosines of codes against those of features.

    Args:
      codes_BxL: Codes, relaxed or in {-1, +1}.
      x_Bxz: Features of the same images.
      pairs: A name of `PAIRS`.

    Returns:
      Scalar, the mean over the pairs.
    """
    if pairs == "halves":
        return pairwise.halves_loss(codes_BxL, x_Bxz).mean()
    target_BxB = cosines(x_Bxz)
    return pairwise.mean_over_pairs(pairwise.difference_loss(codes_BxL, target_BxB, cosine=True))


@jax.default_matmul_precision("highest")
def cosines(x_Bxz: jax.Array) -> jax.Array:
    """Computes the cosines of all pairs of rows, [B, B]."""
    unit_Bxz = pairwise.unit_rows(x_Bxz)
    return unit_Bxz @ unit_Bxz.T
