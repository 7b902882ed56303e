"""Other people's weights: one contract for every model that has them.

A module of this package, or of a user's own, holds a flax module class and, beside it:

load(path) -> params
    Reads the class's parameters from a file; no code in the file runs.
MEAN, SCALE
    The class expects (bytes - MEAN) * SCALE. MEAN is None where the file has its own mean image.
load_mean(path) -> float32 [H, W, C] or [C]
    Reads that mean image. Only modules whose MEAN is None have this function.
published() -> path
    Returns where an installed package keeps the weights. Left out where there is no such package.

Such weights have two uses. A class that can be made without arguments and maps images float32
[B, H, W, C] to [B, z] gives features; see `features`. And where `config.weights` names a file,
training starts from it: the model `cnn_f.CNNF` takes the parameters that `load` of the module
`cnn_f` reads, and layers that the file lacks keep their initial values. The model
`fine_tuned.FineTuned` starts from the weights of its backbone; `config.weights` may then be
"published", for those that an installed package keeps.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError
from jhash.system import imports

# What a module of weights has beside its class.
CONTRACT = ("load", "MEAN", "SCALE")
# In place of the path of a file.
PUBLISHED = "published"


class Weights(NamedTuple):
    """Published weights of a model.

    Attributes:
      params: The model's parameters by layer, or some of them.
      mean: Value that the model expects to be subtracted from the bytes: a number, a color [C] or
        an image [H, W, C].
      scale: Factor with which the model expects that difference to be multiplied.
    """

    params: dict[str, Any]
    mean: float | np.ndarray
    scale: float


def load(model: str, path: str, backbone: str = "") -> Weights:
    """Reads published weights for a model.

    Args:
      model: Name of the model, `module.Class`, as `jhash.models.build` takes it.
      path: File of weights, or PUBLISHED for those of an installed package.
      backbone: Name of the model's backbone, if it is that which the weights are for. They become
        the parameters "backbone" then, without the classes of the backbone's last layer.

    Returns:
      The weights.

    Raises:
      InputError: No module is known that reads weights of the model, or the file does not fit.
    """
    model = backbone or model
    module_name = model.rpartition(".")[0]
    try:
        module = imports.find_module(module_name, "jhash.pretrained", "model")
    except InputError:
        module = None
    if not all(hasattr(module, name) for name in CONTRACT):
        raise InputError(
            f"path: {path} given; allowed: no file, as no published weights of {model} are known. "
            f"A module of your own that has {', '.join(CONTRACT)} can read weights for its models."
        )
    if path == PUBLISHED:
        if not hasattr(module, "published"):
            raise InputError(
                f"path: {path!r} given; allowed: a file, as no package keeps weights of {model}."
            )
        path = module.published()
    mean = module.load_mean(path) if module.MEAN is None else module.MEAN
    params = module.load(path)
    if backbone:
        params = {"backbone": {name: params[name] for name in params if name != "classes"}}
    return Weights(params, mean, module.SCALE)


def merge(params: Mapping[str, Any], loaded: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Replaces initialized layers by loaded ones; layers that were not loaded stay.

    Args:
      params: Freshly initialized parameters of a model: {layer: {name: array}}, or deeper.
      loaded: Some of the parameters, as a module's `load` reads them.
      place: What errors put before the names.

    Returns:
      A new tree of the structure, shapes and dtypes of the initialized parameters.

    Raises:
      InputError: The model lacks a loaded layer, or has it in another shape.
    """
    merged = dict(params)
    for name, value in loaded.items():
        if name not in params:
            raise InputError(
                f"loaded: a layer {place + name!r} given; allowed: {', '.join(params)}, as in the "
                "model."
            )
        if isinstance(params[name], Mapping) and isinstance(value, Mapping):
            merged[name] = merge(params[name], value, f"{place}{name}.")
            continue
        shape = np.shape(params[name])
        if np.shape(value) != shape:
            raise InputError(
                f"loaded: {place}{name} of shape {np.shape(value)} given; allowed: shape {shape}, "
                "the model's. Published weights fit a model with its default fields, on images of "
                "the size and the channels on which it was trained."
            )
        merged[name] = jnp.asarray(value, params[name].dtype)
    return merged
