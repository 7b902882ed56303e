"""The content of `encoder.bin`, which somebody else may have written: parsed and checked.

Flax's own reader takes memory for what a file of msgpack declares, thousands of times its size, and
makes arrays of any dtype. Here numbers and depths of containers are limited, and arrays hold what
they declare.
"""

import math
from typing import Any

import ml_collections
import msgpack
import numpy as np
from jax import numpy as jnp

from jhash import config_fields
from jhash.errors import InputError

# Limits of containers. A model has some hundreds of arrays. msgpack takes 8 bytes for each item
# that a list declares, in up to 1024 lists that are open.
_MAX_CONTAINERS = 100_000
_MAX_LIST = 1000
_MAX_MAP = 10_000
_MAX_DIMENSIONS = 8
# The types of extension that Flax uses, and the entry that marks an array in parts.
_ARRAY = 1
_SCALAR = 3
_PARTS = "__msgpack_chunked_array__"
_DTYPES = {"bfloat16": jnp.bfloat16} | {
    name: np.dtype(name)
    for name in (
        *("bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64"),
    )
}
# Images of 8192 x 8192 pixels; they are made in memory for every query.
_MAX_SIDE = 8192

_CONFIG: config_fields.Fields = {
    "bits": config_fields.COMMON["bits"],
    "image": config_fields.COMMON["image"],
    "model": {"name": config_fields.text(empty=False)},
    "method": {"name": config_fields.text(empty=False)},
}
_CONTENT: config_fields.Fields = {
    "batch_size": config_fields.COMMON["eval_batch_size"],
    "image_shape": config_fields.Field(
        f"[height, width, channels] of 1 to {_MAX_SIDE} pixels and 1 channel (gray) or 3 (RGB)",
        lambda value: (
            isinstance(value, list)
            and len(value) == 3
            and all(type(size) is int and 1 <= size <= _MAX_SIDE for size in value)
            and value[2] in (1, 3)
        ),
    ),
    "mean": config_fields.Field(
        "an array of finite numbers",
        lambda value: isinstance(value, np.ndarray) and value.ndim <= 3 and _is_finite(value),
    ),
    "classes": config_fields.Field(
        "[number of classes, True or False]",
        lambda value: (
            isinstance(value, list)
            and [type(item) for item in value] == [int, bool]
            and 1 <= value[0] <= 10**6
        ),
    ).or_none(),
    "as_shown": config_fields.boolean(),
}


def parse(data: bytes) -> dict[str, Any]:
    """Parses msgpack as Flax writes it.

    It takes at most ten times the size of the data and 16 MiB.

    Raises:
      ValueError: The data is something else, or has more containers than any encoder.
    """
    containers = 0

    def count(container):
        nonlocal containers
        containers += 1
        if containers > _MAX_CONTAINERS:
            raise ValueError(f"it has more than {_MAX_CONTAINERS} lists and maps")
        return (
            _joined(container) if isinstance(container, dict) and _PARTS in container else container
        )

    content = msgpack.unpackb(
        data,
        ext_hook=_extension,
        object_hook=count,
        list_hook=count,
        strict_map_key=True,
        max_array_len=_MAX_LIST,
        max_map_len=_MAX_MAP,
    )
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ValueError("it holds no fields by name")
    return content


def check(content: dict[str, Any]) -> None:
    """Checks all fields but `version`.

    Raises:
      InputError: A field is missing, unknown, or its value is not allowed; the message names it.
    """
    content = {"classes": None, "as_shown": False, **content}
    fields = {*_CONTENT, "config", "variables"}
    for name in fields - set(content):
        raise InputError(f"{name}: nothing given; allowed: the files that jhash writes.")
    for name in set(content) - fields:
        raise InputError(f"{name!r:.60}: no such field; allowed: {', '.join(sorted(fields))}.")
    config_fields.check_group(content, _CONTENT)
    if not isinstance(content["config"], dict):
        raise InputError("config: no group given; allowed: a group of fields.")
    config_fields.check_group(ml_collections.ConfigDict(content["config"]), _CONFIG, "config")
    _check_variables(content["variables"])


def _check_variables(variables):
    """Checks that variables are arrays of finite numbers in groups by name."""
    groups = [variables]
    for group in groups:
        if not isinstance(group, dict):
            raise InputError("variables: a value that is no array given; allowed: arrays by name.")
        for name, value in group.items():
            if isinstance(value, np.ndarray) and not _is_finite(value):
                raise InputError(
                    f"variables: NaN or infinity in {name!r:.60} given; allowed: finite numbers."
                )
            if not isinstance(value, np.ndarray):
                groups.append(value)


def _extension(kind: int, data: bytes) -> Any:
    """Makes an array or a scalar from Flax's extension: (shape, name of the dtype, bytes)."""
    parts = msgpack.unpackb(data, raw=True, max_array_len=_MAX_DIMENSIONS, max_map_len=0)
    if kind not in (_ARRAY, _SCALAR) or not isinstance(parts, list) or len(parts) != 3:
        raise ValueError("it holds an unknown type of data")
    shape, name, content = parts
    dtype = _DTYPES.get(name.decode("latin1")) if isinstance(name, bytes) else None
    sizes = isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)
    if dtype is None or not sizes or not isinstance(content, bytes):
        raise ValueError("it holds an array of an unknown type")
    if math.prod(shape) * np.dtype(dtype).itemsize != len(content):
        raise ValueError("it holds an array of another size than it says")
    array = np.frombuffer(content, dtype).reshape(shape)
    return array if kind == _ARRAY else array[()]


def _joined(parts: Any) -> np.ndarray:
    """Joins an array that Flax cut into parts, since msgpack has none beyond 4 GB."""
    try:
        shape = [parts["shape"][str(place)] for place in range(len(parts["shape"]))]
        chunks = [parts["chunks"][str(place)] for place in range(len(parts["chunks"]))]
        return np.concatenate(chunks).reshape(shape)
    except (KeyError, TypeError) as error:
        raise ValueError("it holds an array whose parts are missing") from error


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind in "biu" or bool(np.isfinite(array).all())
