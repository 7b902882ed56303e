"""CNN-F with its published ImageNet weights, MatConvNet's `imagenet-vgg-f.mat`."""

import os
from typing import Any

import jax
import numpy as np

from jhash.errors import InputError
from jhash.models import cnn_f
from jhash.pretrained import mat_file
from jhash.system import text

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")
LAYERS = (*CONVOLUTIONS, "fc6", "fc7")
# The model expects (bytes - mean) * SCALE; the file has its own mean image, see `load_mean`.
MEAN = None
SCALE = 1.0

Params = dict[str, dict[str, np.ndarray]]


class CNNF(cnn_f.CNNF):
    """CNN-F without a hash layer: the 4,096 outputs of fc7 as features of 224 x 224 images."""

    bits: int = 0
    stem: str = "published"

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Maps images float32 [B, 224, 224, 3] to features float32 [B, 4096], at least 0."""
        return super().__call__(x, train)


def load(path: str | os.PathLike) -> Params:
    """Reads the layers conv1 to fc7; the 1000-way fc8 is left out.

    Fields are found by name in all known layouts. `layers` is at the top level, and `normalization`
    beside it or inside of `meta`; or all of that is inside of `net`. A layer's weights are in the
    fields `filters` and `biases`, or in a cell `weights`. Convolutions are stored as
    [height, width, in, out], as in flax. fc6 and fc7 are stored as convolutions, too; they are
    flattened in the order (row, column, channel), as `CNNF` flattens its pixels.

    Args:
      path: The `.mat` file, of version 7 or older.

    Returns:
      {layer: {"kernel": array, "bias": array}} in float32.

    Raises:
      InputError: The file cannot be read or lacks a layer or a field, or an array has a wrong
        shape.
    """
    cells = _get(_root(path), "layers", path)
    structs = [cell for cell in cells if isinstance(cell, dict)] if type(cells) is list else []
    layers = {struct["name"]: struct for struct in structs if type(struct.get("name")) is str}
    if missing := [name for name in LAYERS if name not in layers]:
        names = text.shortened(", ".join(layers)) or "none"
        raise _refusal(path, f"it has no layer {', '.join(missing)}; its layers are {names}")
    return {name: _weights(name, layers[name], path) for name in LAYERS}


def load_mean(path: str | os.PathLike) -> np.ndarray:
    """Reads the mean of the training images, RGB in 0..255.

    Args:
      path: The `.mat` file, of version 7 or older.

    Returns:
      float32 [224, 224, 3], or [3] where the file has only a color.

    Raises:
      InputError: The file cannot be read, or has no such image.
    """
    return _mean_image(_root(path), path)


def _refusal(path, reason):
    """Makes the error that a file raises."""
    return InputError(
        f"path: {path} given; allowed: MATLAB files as imagenet-vgg-f.mat, but {reason}."
    )


def _root(path):
    """Reads the struct that has the field `layers`."""
    try:
        content = mat_file.read(path)
    except InputError as error:
        raise _refusal(path, error) from error
    return content.get("net", content)


def _get(struct: Any, name: str, path: Any) -> Any:
    """Returns a field of a struct, or of the whole file."""
    fields = struct if isinstance(struct, dict) else {}
    if name not in fields:
        others = text.shortened(", ".join(fields)) or "no other"
        raise _refusal(path, f"it has no field {name!r} beside {others}")
    return fields[name]


def _weights(name: str, layer: dict[str, Any], path: Any) -> dict[str, np.ndarray]:
    if "weights" in layer:
        arrays = layer["weights"]
    else:
        arrays = [_get(layer, "filters", path), _get(layer, "biases", path)]
    if type(arrays) is not list or not all(type(array) is np.ndarray for array in arrays):
        raise _refusal(path, f"{name} has no arrays of filters and biases")
    if len(arrays) != 2:
        raise _refusal(
            path, f"{name} has {len(arrays)} arrays of weights in place of filters and biases"
        )
    filters, biases = arrays
    if filters.ndim != 4 or biases.size != filters.shape[3]:
        raise _refusal(
            path,
            f"{name} has filters of shape {filters.shape} and biases of shape {biases.shape} in "
            "place of [height, width, in, out] and [out]",
        )
    kernel = filters.astype(np.float32)
    if not (np.isfinite(kernel).all() and np.isfinite(biases).all()):
        raise _refusal(path, f"{name} has filters or biases that are not finite")
    if name not in CONVOLUTIONS:
        kernel = kernel.reshape(-1, kernel.shape[3])
    return {"kernel": kernel, "bias": biases.astype(np.float32).reshape(-1)}


def _mean_image(root: Any, path: Any) -> np.ndarray:
    in_meta = isinstance(root, dict) and "meta" in root and "normalization" not in root
    holder = root["meta"] if in_meta else root
    mean = _get(_get(holder, "normalization", path), "averageImage", path)
    if type(mean) is not np.ndarray:
        raise _refusal(path, "averageImage is no array")
    mean = mean.astype(np.float32)
    if mean.size == 3:
        return mean.reshape(3)
    if mean.ndim != 3 or mean.shape[2] != 3:
        raise _refusal(
            path,
            f"averageImage has shape {mean.shape} in place of [height, width, 3] or 3 numbers",
        )
    return mean
