"""Codes of samples from features that were spread along their graph of nearest neighbors.

Features of a pretrained network are mostly right about an image's nearest neighbors, and often
wrong about images farther away. Here each sample takes over the features of its neighborhood before
it gets a code: rotated principal components of the features that `neighbor_diffusion` gives. This
is jhash's own, no paper's. `methods.shallow.neighbor_diffusion` fits a function of the features to
these codes, and `methods.embeddings.neighbor_diffusion` hands them to a model as pseudo labels.

The number of neighbors and their weight are those that others use for such graphs, and were not
tuned: of neighbors from 5 to 50, weights of 0.9 and 0.98 and 20 to 60 rounds, all were within a
point of mAP@20 % of each other on the embedded data.

Shapes in names: N samples, z features, C components that are kept, L bits.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jhash import config_fields
from jhash.solvers import factored_graph, neighbor_diffusion, pca, rotation

NEIGHBORS = 15
WEIGHT = 0.9
ROUNDS = 20
# What a config says of the graph; the number of samples bounds the neighbors further.
FIELDS = {
    "neighbors": config_fields.integer(1),
    "weight": config_fields.number(0.0, 0.999),
    "rounds": config_fields.integer(0, 10_000),
}
# So many principal components of the features are kept, and no fewer than bits; more of 1,280 made
# no code better, and the graph takes as long as there are components.
_COMPONENTS = 256


def width(samples: int, features: int, bits: int = 0) -> int:
    """Returns the number of components that are kept, C: at most 256, or bits if they are more."""
    return min(samples, features, max(_COMPONENTS, bits))


def reduction(v_Nxz: np.ndarray, bits: int = 0) -> dict[str, jax.Array]:
    """Fits the principal components of the features' directions that the graph is made of.

    Args:
      v_Nxz: Features, float.
      bits: Code length.

    Returns:
      {"mean": [z], "components": [z, C]}, C as `width` says.

    Raises:
      InputError: There are no features.
    """
    count = width(*np.shape(v_Nxz), bits)
    mean_z, components_zxC = pca.components(factored_graph.unit(jnp.asarray(v_Nxz)), count)
    return {"mean": mean_z, "components": components_zxC}


@jax.jit
@jax.default_matmul_precision("highest")
def reduce(fitted: dict[str, jax.Array], v_Nxz: jax.Array) -> jax.Array:
    """Computes directions of the components, float32 [N, C] of length 1.

    Args:
      fitted: Result of `reduction`.
      v_Nxz: Features, float; only their directions count.
    """
    unit_Nxz = factored_graph.unit(jnp.asarray(v_Nxz, jnp.float32))
    return factored_graph.unit((unit_Nxz - fitted["mean"]) @ fitted["components"])


def outputs(
    x_NxC: jax.Array, bits: int, key: jax.Array, neighbors: int, weight: float, rounds: int
) -> np.ndarray:
    """Spreads reduced features, and computes rotated principal components of the result.

    Args:
      x_NxC: Result of `reduce`.
      bits: Code length, at most min(N, C).
      key: PRNG key of the rotation that `rotation.rotate` starts from.
      neighbors: Number of neighbors per sample; with fewer samples all others are its neighbors.
      weight: As for `neighbor_diffusion.diffuse`, as are `rounds`.
      rounds: Number of rounds.

    Returns:
      float32 [N, bits], bit = value > 0.

    Raises:
      InputError: There are fewer than two samples, or fewer samples or features than bits.
    """
    spread_NxC = factored_graph.unit(_spread(x_NxC, neighbors, weight, rounds))
    mean_C, projection_CxL = pca.components(spread_NxC, bits)
    projected_NxL = _project(spread_NxC, mean_C, projection_CxL)
    turned_LxL, _ = rotation.rotate(projected_NxL, key)
    return np.asarray(_project(projected_NxL, 0.0, turned_LxL))


def graph(v_Nxz: jax.Array) -> factored_graph.Graph:
    """Makes the graph of cosines of reduced features that were spread.

    The cosines of neighbors grow, and those of other nodes come closer to 0 or below it: it takes
    over what a sparse and normalized graph of neighbors says, and still has two factors.

    Args:
      v_Nxz: Features, float; only their directions count.

    Returns:
      A graph whose two factors are one array [N, C].

    Raises:
      InputError: There are fewer than two features, or some have no cosine.
    """
    x_NxC = reduce(reduction(v_Nxz), v_Nxz)
    return factored_graph.cosine(_spread(x_NxC, NEIGHBORS, WEIGHT, ROUNDS))


def _spread(x_NxC, neighbors, weight, rounds):
    neighbors = max(1, min(neighbors, len(x_NxC) - 1))
    return jnp.asarray(neighbor_diffusion.diffuse(x_NxC, neighbors, weight, rounds))


@jax.jit
@jax.default_matmul_precision("highest")
def _project(x_NxC, mean_C, projection_CxL):
    return (x_NxC - mean_C) @ projection_CxL
