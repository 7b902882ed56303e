"""Reads the arrays in a PyTorch checkpoint without PyTorch, and without running its code.

A `.pth` file holds a pickle, and unpickling can call any function that the file names. Here a file
may name nothing but what describes a dict of tensors.
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
# The first pickle in files that PyTorch wrote before 1.6. Such a file is several pickles in a row,
# and after them the raw bytes of the tensors.
_MAGIC = 0x1950A86A20F9469CFC6C


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads the tensors of a state dict.

    Args:
      path: File that `torch.save` wrote, of any version of PyTorch.

    Returns:
      NumPy arrays by name, in the file's order, in their own dtypes.

    Raises:
      InputError: The file is missing, cut off or no such file, or it names anything other than
        tensors in dicts and lists.
    """
    try:
        with open(path, "rb") as file:
            content, storages = _read(file)
        if not isinstance(content, dict):
            raise InputError(f"it holds a {type(content).__name__}")
        return {
            name: value.array(storages)
            for name, value in content.items()
            if isinstance(value, _Tensor)
        }
    except InputError as error:
        raise _refusal(path, error) from None
    except Exception as error:  # A damaged pickle can raise an exception of any kind.
        raise _refusal(path, f"it is not readable ({error})") from error


def _refusal(path, reason):
    """Makes the error that a file raises."""
    return InputError(
        f"path: {path} given; allowed: PyTorch checkpoints of a dict of tensors, but {reason}."
    )


class _Storage(NamedTuple):
    """Bytes of the file that one or more tensors share."""

    key: str
    dtype: Any


class _Tensor(NamedTuple):
    """A view of a storage; offset and strides are counted in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, storages: dict[str, bytes]) -> np.ndarray:
        """Copies the tensor out of the bytes of its storage."""
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
    """Makes descriptions of storages and tensors, and refuses everything else."""

    def find_class(self, module, name):
        """Returns what may stand for a name in the file."""
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        match module, name:
            case "collections", "OrderedDict":
                return collections.OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return _rebuild_tensor
            case "torch._utils", "_rebuild_parameter":
                return _rebuild_parameter
        raise InputError(f"it names {module}.{name}")

    def persistent_load(self, pid):
        """Returns the storage that the file describes by a tuple.

        The tuple is ("storage", type, key, location, size) since PyTorch 1.6. Before, it had one
        more element, which described a view.
        """
        kind, dtype, key = pid[:3]
        if kind != "storage" or (len(pid) > 5 and pid[5] is not None):
            raise InputError(f"it refers to data of the unknown kind {kind!r}")
        return _Storage(str(key), dtype)


def _rebuild_tensor(storage, offset, shape, strides, *_):
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(tensor, *_):
    return tensor


def _read(file):
    """Reads the pickled object and the bytes of each storage."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            content = _Unpickler(io.BytesIO(archive.read(index))).load()
            folder = index.removesuffix("data.pkl") + "data/"
            names = [name for name in archive.namelist() if name.startswith(folder)]
            return content, {name.removeprefix(folder): archive.read(name) for name in names}
    # Before 1.6: the magic number, the version, the platform, the object and the keys of its
    # storages, all pickled; then, for each key, the number of elements and the elements.
    file.seek(0)
    if _Unpickler(file).load() != _MAGIC:
        raise InputError("it does not begin like one")
    for _ in ("version", "platform"):
        _Unpickler(file).load()
    content = _Unpickler(file).load()
    sizes = {
        tensor.storage.key: np.dtype(tensor.storage.dtype).itemsize for tensor in _tensors(content)
    }
    storages = {}
    for key in _Unpickler(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        storages[key] = file.read(count * sizes[key])
    return content, storages


def _tensors(tree):
    """Yields the tensors in dicts, lists and tuples of them."""
    if isinstance(tree, _Tensor):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from _tensors(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _tensors(value)
