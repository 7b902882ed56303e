"""Reads the arrays in a PyTorch checkpoint without PyTorch, and without running its code.

A `.pth` file holds a pickle, which `torch_pickle` reads, and the bytes of tensors.
"""

import io
import os
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

from jhash.errors import InputError
from jhash.pretrained.torch_pickle import Pairs, Reader, Tensor
from jhash.system import reading, text

# The first pickle in files that PyTorch wrote before 1.6. Such a file is several pickles in a row,
# and after them the raw bytes of the tensors.
_MAGIC = 0x1950A86A20F9469CFC6C
# What is read from an archive may have so many bytes for each byte of the file. PyTorch does not
# compress, and weights hardly can be.
_MAX_RATIO = 4
_ENCRYPTED = 1

_Bytes = bytes | memoryview


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads the tensors of a state dict.

    Args:
      path: File that `torch.save` wrote, of any version of PyTorch.

    Returns:
      NumPy arrays by name, in the file's order, in their own dtypes. They cannot be written to, as
      some may share their bytes.

    Raises:
      InputError: The file is missing, cut off or no such file, or it names anything other than
        tensors in dicts and lists.
    """
    try:
        with reading.open_regular(path) as file:
            data = file.read()
        content, storages = _read(data)
        if not isinstance(content, Pairs):
            kind = type(content).__name__
            raise InputError(f"it holds a {kind if type(content) in (list, tuple) else 'value'}")
        return {
            name: _array(value, storages)
            for name, value in content
            if isinstance(value, Tensor) and type(name) is str
        }
    except OSError as error:
        raise _refusal(path, f"it is not readable ({error.strerror})") from error
    except InputError as error:
        raise _refusal(path, error) from None
    except Exception as error:  # A damaged pickle can raise an exception of any kind.
        raise _refusal(path, f"it is not readable ({text.shortened(str(error))})") from error


def _refusal(path, reason):
    """Makes the error that a file raises."""
    return InputError(
        f"path: {path} given; allowed: PyTorch checkpoints of a dict of tensors, but {reason}."
    )


def _read(data: bytes) -> tuple[object, Mapping[str, _Bytes]]:
    """Reads the pickled object and the bytes of each storage that it refers to."""
    file = io.BytesIO(data)
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return _read_archive(archive, _MAX_RATIO * len(data))
    return _read_before_1_6(data)


def _read_archive(archive, limit):
    (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
    folder = index.removesuffix("data.pkl")
    names = set(archive.namelist())
    if f"{folder}byteorder" in names and _member(archive, f"{folder}byteorder", 9) != b"little":
        raise InputError("its numbers are in another byte order than little-endian")
    reader = Reader(io.BytesIO(_member(archive, index, limit)))
    content = reader.load()
    limit -= archive.getinfo(index).file_size
    storages = {}
    for key in reader.storages:
        name = f"{folder}data/{key}"
        storages[key] = _member(archive, name, limit)
        limit -= len(storages[key])
    return content, storages


def _member(archive, name, limit) -> bytes:
    """Reads a file of an archive, if it says that it has `limit` bytes or fewer."""
    entry = archive.getinfo(name)
    # Python's readers of other compressions do not stop at a number of bytes.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError("it is compressed in an unusual way")
    if entry.file_size > limit:
        raise InputError(f"its archive has more than {_MAX_RATIO} times as many bytes as the file")
    with archive.open(entry) as file:
        content = file.read(entry.file_size)
        if len(content) != entry.file_size or file.read(1):
            raise InputError("its archive is damaged")
    return content


def _read_before_1_6(data):
    """Reads the form of a file that PyTorch wrote before 1.6.

    These are the magic number, the version, the platform, the object and the keys of its storages,
    all pickled; then, for each key, the number of elements and the elements.
    """
    file = io.BytesIO(data)
    reader = Reader(file)
    if reader.load() != _MAGIC:
        raise InputError("it does not begin like one")
    for _ in ("version", "platform"):
        reader.load()
    content = reader.load()
    storages = {}
    for key in reader.load():
        if type(key) is not str:
            raise InputError(f"it names data by a {type(key).__name__}")
        (count,) = struct.unpack("<q", file.read(8))
        size = count * reader.storages[key].dtype.itemsize
        start = file.tell()
        if not 0 <= size <= len(data) - start:
            raise InputError("it is cut off")
        storages[key] = memoryview(data)[start : start + size]
        file.seek(start + size)
    return content, storages


def _array(tensor: Tensor, storages: Mapping[str, _Bytes]) -> np.ndarray:
    """Returns the view of a storage that a tensor is."""
    data = np.frombuffer(storages[tensor.storage.key], tensor.storage.dtype)
    if 0 in tensor.shape:
        return np.empty(tensor.shape, data.dtype)
    last = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset + last >= len(data):
        raise InputError(
            f"a tensor of shape {text.shortened(str(tensor.shape))} reaches beyond its data"
        )
    strides = [stride * data.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(
        data[tensor.offset :], tensor.shape, strides, writeable=False
    )
