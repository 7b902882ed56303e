"""Reads the arrays of a `.safetensors` file, which holds no code, by the library of that name."""

import os

import ml_dtypes
import numpy as np

from jhash.errors import InputError
from jhash.system import reading, text

_DTYPES = (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)
# The first eight bytes are the length of the header, which is JSON.
_HEADER_START = slice(8, 9)


def is_one(start: bytes) -> bool:
    """Tells by its first 9 bytes if a file is one of this kind, and not one of PyTorch's."""
    return start[_HEADER_START] == b"{"


def load(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads all arrays.

    Returns:
      NumPy arrays by name, in their own dtypes.

    Raises:
      InputError: The library is not installed, the file cannot be read, or an array is of another
        type than float16, bfloat16, float32, float64 and integers.
    """
    try:
        import safetensors
    except ImportError as error:
        raise InputError(
            f"path: {path} given, a .safetensors file; allowed: files of PyTorch, as the library "
            "safetensors is not installed (pip install 'jhash[weights]')."
        ) from error
    try:
        reading.open_regular(path).close()  # The library would wait for the writer of a FIFO.
        with safetensors.safe_open(path, framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # The library's own error, OSError, or KeyError for other types.
        reason = text.shortened(str(error))
        raise _refusal(path, f"it is not readable ({reason})") from error
    for name, array in arrays.items():
        if array.dtype not in _DTYPES and array.dtype.kind not in "iu":
            raise _refusal(path, f"{text.shortened(name)} has the type {array.dtype}")
    return arrays


def _refusal(path, reason):
    """Makes the error that a file raises."""
    return InputError(
        f"path: {path} given; allowed: .safetensors files of real numbers, but {reason}."
    )
