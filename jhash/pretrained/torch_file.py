"""Reads the arrays in a PyTorch checkpoint without PyTorch, and without running its code.

A `.pth` file is a pickle, and unpickling can call any function that the file names. Here it may
name nothing but what describes a dict of tensors.
"""

import collections
import io
import os
import pickle
import struct
import zipfile
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from jhash.errors import InputError

_DTYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
# The first pickle of files written before PyTorch 1.6, which are pickles and raw bytes in a row.
_MAGIC = 0x1950A86A20F9469CFC6C


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The tensors of a state dict, as `torch.save` wrote it, before 1.6 or since.

    Args:
      path: The file.

    Returns:
      NumPy arrays by name, in the file's order, in their own dtypes.

    Raises:
      InputError: The file is missing, cut off, no such file, or names anything else than tensors in
        dicts and lists.
    """
    try:
        with open(path, "rb") as file:
            found, storages = _read(file)
        if not isinstance(found, dict):
            raise InputError(f"it holds a {type(found).__name__}, not a dict of tensors")
        return {
            name: value.array(storages)
            for name, value in found.items()
            if isinstance(value, _Tensor)
        }
    except InputError as error:
        raise InputError(f"{path}: {error}.") from None
    # What a damaged pickle raises is not limited.
    except Exception as error:
        raise InputError(f"{path}: not readable as a PyTorch checkpoint ({error}).") from error


class _Storage(NamedTuple):
    key: str
    dtype: Any


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, storages: dict[str, bytes]) -> np.ndarray:
        data = np.frombuffer(storages[self.storage.key], self.storage.dtype)
        reach = sum(
            (size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True)
        )
        empty = 0 in self.shape
        if min(self.strides, default=0) < 0 or self.offset < 0:
            raise InputError("a tensor has a negative stride or offset")
        if not empty and self.offset + reach >= len(data):
            raise InputError(f"a tensor of shape {self.shape} reaches beyond its data")
        if empty:
            return np.empty(self.shape, data.dtype)
        strides = tuple(stride * data.itemsize for stride in self.strides)
        view = np.lib.stride_tricks.as_strided(data[self.offset :], self.shape, strides)
        return view.copy()


class _Unpickler(pickle.Unpickler):
    """Finds storages and tensors as descriptions, and refuses everything else."""

    def find_class(self, module, name):
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        match module, name:
            case "collections", "OrderedDict":
                return collections.OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return _rebuild_tensor
            case "torch._utils", "_rebuild_parameter":
                return _rebuild_parameter
        raise InputError(f"it names {module}.{name}; allowed are dicts, lists and tensors")

    def persistent_load(self, pid):
        # Since 1.6 ("storage", type, key, location, size), before with one more.
        kind, dtype, key = pid[:3]
        if kind != "storage" or (len(pid) > 5 and pid[5] is not None):
            raise InputError(f"it has a part of an unknown kind, {kind!r}")
        return _Storage(str(key), dtype)


def _rebuild_tensor(storage, offset, shape, strides, *_):
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor, *_):
    return tensor


def _read(file):
    """The pickled object and the bytes of each storage."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            found = _Unpickler(io.BytesIO(archive.read(index))).load()
            folder = index.removesuffix("data.pkl") + "data/"
            names = [name for name in archive.namelist() if name.startswith(folder)]
            return found, {name.removeprefix(folder): archive.read(name) for name in names}
    file.seek(0)
    if _Unpickler(file).load() != _MAGIC:
        raise InputError("it does not begin like a PyTorch checkpoint")
    for _ in ("version", "platform"):
        _Unpickler(file).load()
    found = _Unpickler(file).load()
    sizes = {
        tensor.storage.key: np.dtype(tensor.storage.dtype).itemsize for tensor in _tensors(found)
    }
    storages = {}
    for key in _Unpickler(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        storages[key] = file.read(count * sizes[key])
    return found, storages


def _tensors(tree):
    if isinstance(tree, _Tensor):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from _tensors(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _tensors(value)
