"""Diffused codes as pseudo labels; see `jhash.methods.diffused_codes`."""

import jax
import numpy as np

from jhash import config_fields
from jhash.methods import diffused_codes
from jhash.methods.diffused_codes import NEIGHBORS, ROUNDS, WEIGHT


def check(
    nodes: int, bits: int, neighbors: int = NEIGHBORS, weight: float = WEIGHT, rounds: int = ROUNDS
) -> None:
    """Refuses options and bits that the codes of that many nodes cannot have."""
    given = {"bits": bits, "neighbors": neighbors, "weight": weight, "rounds": rounds}
    of_graph = dict.fromkeys(("bits", "neighbors"), config_fields.integer(1, nodes - 1))
    config_fields.check_group(given, diffused_codes.FIELDS | of_graph)


def embed(
    v_Nxz: np.ndarray,
    bits: int,
    key: jax.Array,
    folder: str = "",
    neighbors: int = NEIGHBORS,
    weight: float = WEIGHT,
    rounds: int = ROUNDS,
) -> np.ndarray:
    """Computes the outputs of `diffused_codes.outputs` for features.

    Args:
      v_Nxz: Features, float; only their directions count.
      bits: Code length, at most min(N, z).
      key: PRNG key of the first rotation.
      folder: Unused: a call that was killed starts anew.
      neighbors: Number of neighbors of a sample.
      weight: Share of the neighbors in a round.
      rounds: Number of rounds.

    Returns:
      float32 [N, bits], bit = value > 0.

    Raises:
      InputError: As `diffused_codes.reduction` and `diffused_codes.outputs` do.
    """
    del folder
    x_NxC = diffused_codes.reduce(diffused_codes.reduction(v_Nxz, bits), v_Nxz)
    return diffused_codes.outputs(x_NxC, bits, key, neighbors, weight, rounds)
