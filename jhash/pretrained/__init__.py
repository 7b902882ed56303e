"""Other people's weights: one contract for every model that has them.

A module of this package, or of the user's own, has a flax module class beside these:

load(path) -> params
    The class's parameters from a file; no code of the file runs.
MEAN, SCALE
    The class wants (bytes - MEAN) * SCALE. MEAN is None where the file has a mean image of its own.
load_mean(path) -> float32 [H, W, C] or [C]
    That mean image; only where MEAN is None.
published() -> path
    Where the weights lie that a package carries. Left out where there is no such package.

A class that is made without arguments and maps images float32 [B, H, W, C] to [B, z] gives
features; see `features`. Where `config.weights` names a file, the parameters of a model start from
`load` of the module of the same name; layers that the file lacks keep their first values.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError
from jhash.system import imports


class Weights(NamedTuple):
    """Published weights of a model.

    Attributes:
      params: Its parameters by layer, or some of them.
      mean: What it wants to be subtracted from the bytes: a number, a color [C] or [H, W, C].
      scale: The factor of that difference.
    """

    params: dict[str, Any]
    mean: float | np.ndarray
    scale: float


def load(model: str, path: str) -> Weights:
    """Reads published weights for a model.

    Args:
      model: `module.Class`, as in `config.model.name`.
      path: The file.

    Returns:
      The weights.

    Raises:
      InputError: Nothing is known that reads weights for the model, or the file does not fit.
    """
    module_name = model.rpartition(".")[0]
    module = imports.find_module(module_name, "jhash.pretrained", "config.weights")
    if not hasattr(module, "load"):
        raise InputError(
            f"config.weights: {path} given; allowed: nothing, as no published weights of {model} "
            "are known."
        )
    mean = module.load_mean(path) if module.MEAN is None else module.MEAN
    return Weights(module.load(path), mean, module.SCALE)


def merge(params: Mapping[str, Any], loaded: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces the layers of `params` that `loaded` has; others keep their initialization.

    Args:
      params: Freshly initialized parameters of a model: {layer: {name: array}}.
      loaded: Parameters as `load` reads them.

    Returns:
      A new tree of the structure, shapes and dtypes of `params`.

    Raises:
      InputError: A layer is missing in `params` or has another shape there.
    """
    merged = dict(params)
    for layer, arrays in loaded.items():
        if layer not in params:
            raise InputError(f"params: the file has a layer {layer!r}, but the model has none.")
        for name, found in arrays.items():
            expected = params[layer][name].shape
            if found.shape != expected:
                raise InputError(
                    f"{layer}.{name}: shape {found.shape} given by the file; allowed: {expected}, "
                    "the model's. Published weights fit a model with its default fields, on images "
                    "of the size and the channels that it was trained on."
                )
        merged[layer] = {
            name: jnp.asarray(array, params[layer][name].dtype) for name, array in arrays.items()
        }
    return merged
