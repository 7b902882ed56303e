"""Reads the published CNN-F weights, MatConvNet's `imagenet-vgg-f.mat`, into `cnn_f.CNNF`."""

import os
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.io

from jhash.errors import InputError

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")
LAYERS = (*CONVOLUTIONS, "fc6", "fc7")

Params = dict[str, dict[str, np.ndarray]]


def load_vgg_f(path: str | os.PathLike) -> tuple[Params, np.ndarray]:
    """Reads conv1 to fc7 and the average image; the 1000-way fc8 is left out.

    The known layouts are read by field name: `layers` and `normalization` at the top level, or
    `meta.normalization`, or either inside `net`; a layer's weights in the fields `filters` and
    `biases`, or in a cell `weights`. Convolutions are stored as [height, width, in, out], as flax
    has them. fc6 and fc7 are stored as convolutions too, and flattened in the order (row, column,
    channel), which is CNNF's.

    Args:
      path: The `.mat` file, version 7 or older.

    Returns:
      (params, mean_image): `{layer: {"kernel", "bias"}}` in float32, for `merge_pretrained`, and
      the average training image, RGB in 0..255: float32 [224, 224, 3], or [3] where the file has
      one colour only.

    Raises:
      InputError: The file cannot be read, or lacks a layer or field, or one has an odd shape.
    """
    root = _read(path)
    root = root["net"].flat[0] if "net" in root else root
    structs = [cell.flat[0] for cell in _get(root, "layers", path).flat]
    layers = {_text(struct, "name"): struct for struct in structs}
    if missing := [name for name in LAYERS if name not in layers]:
        raise InputError(
            f"{path}: no layer {', '.join(missing)}; the file has {', '.join(layers)}."
        )
    params = {name: _weights(name, layers[name], path) for name in LAYERS}
    return params, _mean_image(root, path)


def merge_pretrained(params: Mapping[str, Any], loaded: Params) -> dict[str, Any]:
    """Replaces the layers of `params` that `loaded` has; the hash layer keeps its initialisation.

    Args:
      params: Freshly initialised parameters of `cnn_f.CNNF`.
      loaded: The parameters that `load_vgg_f` returned.

    Returns:
      A new tree of the structure, shapes and dtypes of `params`.

    Raises:
      InputError: A layer is missing in `params` or has another shape there.
    """
    merged = dict(params)
    for layer, arrays in loaded.items():
        if layer not in params:
            raise InputError(f"params: no layer {layer!r}; it has {', '.join(params)}.")
        for name, found in arrays.items():
            expected = params[layer][name].shape
            if found.shape != expected:
                raise InputError(
                    f"{layer}.{name}: the file has shape {found.shape}, the model {expected}. The "
                    "published weights fit CNNF with its default widths and the published stem, "
                    "on 224x224 images of 3 channels."
                )
        merged[layer] = {
            name: jnp.asarray(array, params[layer][name].dtype) for name, array in arrays.items()
        }
    return merged


def _read(path: str | os.PathLike) -> dict[str, Any]:
    try:
        found = scipy.io.loadmat(path)
    except NotImplementedError:  # What SciPy raises for HDF5.
        raise InputError(
            f"{path}: a MATLAB 7.3 (HDF5) file; save it again in MATLAB with "
            "save(file, '-struct', 'net', '-v7')."
        ) from None
    except Exception as error:  # SciPy raises a dozen kinds for missing, cut and foreign files.
        raise InputError(
            f"{path}: not readable as a MATLAB file ({error}); give that of imagenet-vgg-f.mat."
        ) from error
    return {name: value for name, value in found.items() if not name.startswith("__")}


def _names(record: Any) -> tuple[str, ...]:
    """Fields of a struct (a NumPy record) or of the whole file (a dict)."""
    return tuple(record) if isinstance(record, dict) else record.dtype.names or ()


def _get(record: Any, name: str, path: Any) -> Any:
    if name not in _names(record):
        raise InputError(
            f"{path}: no field {name!r} where one was expected; found {', '.join(_names(record))}."
        )
    return record[name]


def _text(record: np.void, name: str) -> str:
    return str(record[name].flat[0]) if name in _names(record) and record[name].size else ""


def _weights(name: str, layer: np.void, path: Any) -> dict[str, np.ndarray]:
    if "weights" in _names(layer):
        arrays = list(layer["weights"].flat)
    else:
        arrays = [_get(layer, "filters", path), _get(layer, "biases", path)]
    if len(arrays) != 2:
        raise InputError(
            f"{path}: {name} has {len(arrays)} arrays of weights; expected filters and biases."
        )
    filters, biases = arrays
    if filters.ndim != 4 or biases.size != filters.shape[3]:
        raise InputError(
            f"{path}: {name} has filters of shape {filters.shape} and biases of shape "
            f"{biases.shape}; expected [height, width, in, out] and out."
        )
    kernel = filters.astype(np.float32)
    if name not in CONVOLUTIONS:
        kernel = kernel.reshape(-1, kernel.shape[3])
    return {"kernel": kernel, "bias": biases.astype(np.float32).reshape(-1)}


def _mean_image(root: Any, path: Any) -> np.ndarray:
    inside = "meta" in _names(root) and "normalization" not in _names(root)
    holder = root["meta"].flat[0] if inside else root
    mean = _get(_get(holder, "normalization", path).flat[0], "averageImage", path)
    mean = mean.astype(np.float32)
    if mean.size == 3:
        return mean.reshape(3)
    if mean.ndim != 3 or mean.shape[2] != 3:
        raise InputError(
            f"{path}: averageImage has shape {mean.shape}; expected [height, width, 3] or 3 values."
        )
    return mean
