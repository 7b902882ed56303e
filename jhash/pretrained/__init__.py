"""Other people's weights: one contract for every model that has them.

A module of this package, or of a user's own, holds a flax module class or several, and beside them:

load(path) -> params, or load(path, model) -> params
    Reads the parameters of a model from a file; no code in the file runs. `model` is the flax
    module, for a module of several classes, or of one whose fields change shapes. A model with
    BatchNorm takes (params, batch_stats). A file of another model is refused; the message says
    what differs.
MEAN, SCALE
    The class expects (bytes - MEAN) * SCALE. MEAN is a number or a color [C]; it is None where the
    file has its own mean image.
load_mean(path) -> float32 [H, W, C] or [C]
    Reads that mean image. Only modules whose MEAN is None have this function.
published() -> path
    Returns where an installed package keeps the weights. Left out where there is no such package.

Such weights have two uses. A class that can be made without arguments and maps images float32
[B, H, W, C] to [B, z] gives features; see `features`. And where `config.weights` names a file,
training starts from it: the model `resnet.ResNet50` takes what `load` of the module `resnet` reads,
and layers that the file lacks, such as the hash layer, keep their initial values. The model
`fine_tuned.FineTuned` starts from the weights of its backbone; `config.weights` may then be
"published", for those that an installed package keeps.
"""

import inspect
import types
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jhash import models
from jhash.errors import InputError
from jhash.system import imports

# What a module of weights has beside its class.
CONTRACT = ("load", "MEAN", "SCALE")
# In place of the path of a file.
PUBLISHED = "published"
# The models of `jhash.models` whose weights this package reads; each is a backbone here, too.
MODELS = (
    *("alexnet.AlexNet", "cnn_f.CNNF", "resnet.ResNet18", "resnet.ResNet34", "resnet.ResNet50"),
    *("vgg.VGG16", "vit.ViTB16", "vit.ViTS16"),
)
# Further backbones.
BACKBONES = ("efficientnet_lite.EfficientNetLite0", "inception_v4.InceptionV4")


class Weights(NamedTuple):
    """Published weights of a model.

    Attributes:
      params: The model's parameters by layer, or some of them.
      mean: Value that the model expects to be subtracted from the bytes: a number, a color [C] or
        an image [H, W, C].
      scale: Factor with which the model expects that difference to be multiplied.
      batch_stats: The model's statistics of BatchNorm, if it has BatchNorm.
    """

    params: dict[str, Any]
    mean: float | np.ndarray
    scale: float
    batch_stats: dict[str, Any] = types.MappingProxyType({})


def load(model: str, path: str, backbone: str = "", module: nn.Module | None = None) -> Weights:
    """Reads published weights for a model.

    Args:
      model: Name of the model, `module.Class`, as `jhash.models.build` takes it.
      path: File of weights, or PUBLISHED for those of an installed package.
      backbone: Name of the model's backbone, if it is that which the weights are for. They become
        the parameters "backbone" then, without the classes of the backbone's last layer.
      module: The model, if fields change its shapes; by default one with its default fields.

    Returns:
      The weights.

    Raises:
      InputError: No module is known that reads weights of the model, or the file does not fit.
    """
    reader = _reader(backbone or model, path)
    if path == PUBLISHED:
        if not hasattr(reader, "published"):
            raise InputError(
                f"path: {path!r} given; allowed: a file, as no package keeps weights of "
                f"{backbone or model}."
            )
        path = reader.published()
    mean = reader.load_mean(path) if reader.MEAN is None else reader.MEAN
    if needs_model(reader):
        if backbone:
            module = imports.find_attribute(backbone, "jhash.pretrained", "backbone")()
        elif module is None:
            module = models.build(model, 1)
    params, batch_stats = read(reader, path, module)
    if backbone:
        params = {"backbone": {name: params[name] for name in params if name != "classes"}}
        batch_stats = {"backbone": batch_stats} if batch_stats else {}
    return Weights(params, mean, reader.SCALE, batch_stats)


def read(reader: Any, path: str, module: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads weights by the `load` of a module, whichever form of the contract it has.

    Args:
      reader: The module.
      path: File of weights.
      module: The model; not used if `load` takes a path alone.

    Returns:
      (params, batch_stats), the latter empty without BatchNorm.

    Raises:
      InputError: The file does not fit.
    """
    loaded = reader.load(path, module) if needs_model(reader) else reader.load(path)
    return loaded if isinstance(loaded, tuple) else (loaded, {})


def needs_model(reader: Any) -> bool:
    """Tells if the `load` of a module takes the model, too."""
    return "model" in inspect.signature(reader.load).parameters


def _reader(model, path):
    """Finds the module that reads weights of a model."""
    try:
        module = imports.find_module(model.rpartition(".")[0], "jhash.pretrained", "model")
    except InputError:
        module = None
    if not all(hasattr(module, name) for name in CONTRACT):
        raise InputError(
            f"path: {path} given; allowed: no file, as no published weights of {model} are known, "
            f"but of {', '.join(MODELS)}, and of the backbones {', '.join(BACKBONES)}. A module "
            f"of your own that has {', '.join(CONTRACT)} can read weights for its models."
        )
    return module


def merge(params: Mapping[str, Any], loaded: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Replaces initialized layers by loaded ones; layers that were not loaded stay.

    Args:
      params: Freshly initialized parameters of a model: {layer: {name: array}}, or deeper. Of an
        array, its `jax.ShapeDtypeStruct` is enough.
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
        shape = params[name].shape
        if np.shape(value) != shape:
            raise InputError(
                f"loaded: {place}{name} of shape {np.shape(value)} given; allowed: shape {shape}, "
                "the model's. Published weights fit a model with its default fields, on images of "
                "the size and the channels on which it was trained."
            )
        merged[name] = jnp.asarray(value, params[name].dtype)
    return merged
