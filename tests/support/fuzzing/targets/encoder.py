"""The trained model of a run: bombs of msgpack, hostile arrays, fields that differ."""

import copy
import hashlib
import pathlib
import random
import struct

import flax.serialization
import jax
import ml_collections
import msgpack
import numpy as np

from jhash.encoding import encoder
from jhash.experiment import build_model
from tests.support.fuzzing.target import MIB, Target

_NAME = "encoder.bin"
_IMAGE = b"P5 8 8 255\n" + bytes(range(64))
_VALUES = (
    *(
        None,
        True,
        -1,
        0,
        8.5,
        13,
        2**31,
        2**63 - 1,
        float("nan"),
        float("inf"),
        "",
        "8",
        "x" * 9999,
    ),
    *(b"\0", [], [8, 8, 1], [8, 8, 3], [2**40, 8, 1], [1] * 500, {}, {"a": {}}, [[]], "os.system"),
    *(
        np.zeros((8, 8, 1), np.float32),
        np.full((8, 8, 1), np.nan, np.float32),
        np.zeros(3),
        np.int8(4),
    ),
    *(np.zeros((0,), np.float32), np.zeros((3, 3, 1, 8), np.int64), np.float32(1), np.ones(9) > 0),
    *("resnet30.ResNet30", "small_cnn.SmallCNN", "invertible_net.InvertibleNet", "dah", "itq"),
)
_KEYS = ("", "a.b", "__class__", "name", "items", "params", "ü", "x" * 999)


def _content(bits, method, classes=None, **more):
    config = {
        "bits": bits,
        "image": {"size": 8, "scale": 1 / 255, "crop": None, "channels": None},
        "model": {"name": "small_cnn.SmallCNN", "widths": [8], "convolutions": [1], "hidden": 16},
        "method": {"name": method, **more},
    }
    model = build_model(ml_collections.FrozenConfigDict(config)).clone(axis_name=None)
    shapes = jax.eval_shape(
        lambda: model.init(jax.random.key(0), np.zeros((1, 8, 8, 1), np.float32), train=False)
    )
    rng = np.random.default_rng(bits)
    return {
        "version": 2,
        "config": config,
        "batch_size": 16,
        "variables": jax.tree.map(
            lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype) ** 2, dict(shapes)
        ),
        "mean": np.full((8, 8, 1), 90, np.float32),
        "image_shape": [8, 8, 1],
    }


def _pack(content):
    return _signed(flax.serialization.msgpack_serialize(content))


def _signed(packed):
    return hashlib.sha256(packed).digest() + packed


def _seeds():
    return [{_NAME: _pack(_content(12, "fdah"))}, {_NAME: _pack(_content(40, "dstgeh"))}]


def _read(folder: pathlib.Path):
    found = encoder.load(str(folder))
    return found.bits, found.image_shape, found.encode_query(_IMAGE)


def _same(value, expected):
    """Any model is right if its codes have its own length."""
    bits, image_shape, codes = value
    return (
        codes.dtype == np.uint32
        and codes.shape == (1, -(-bits // 32))
        and len(image_shape) == 3
        and not codes[0, -1] >> np.uint64((bits - 1) % 32 + 1)
    )


def _repair(name: str, data: bytes) -> bytes:
    return _signed(data[32:])


def _change_field(rng: random.Random, name: str, data: bytes) -> bytes:
    """Replaces, renames, adds or removes a value anywhere."""
    content = copy.deepcopy(flax.serialization.msgpack_restore(data[32:]))
    groups = [content]
    for group in groups:
        groups += [value for value in group.values() if isinstance(value, dict)]
    # The outer groups are few, and have the fields that matter.
    group = rng.choice((content, content["config"], *groups))
    key = rng.choice((*group, "added"))
    match rng.randrange(5):
        case 0 if key in group:
            del group[key]
        case 1 if key in group:
            group[rng.choice(_KEYS)] = group.pop(key)
        case 2 if isinstance(group.get(key), np.ndarray):
            array = group[key]
            group[key] = rng.choice(
                (array[..., :-1], array.T, array.astype(np.int32), array * np.inf, array[None])
            )
        case _:
            group[key] = rng.choice(_VALUES)
    return _pack(content)


def _bomb(rng: random.Random, name: str, data: bytes) -> bytes:
    """Declares more than there is, nests deeply, or holds arrays that are none."""
    many = rng.choice((100, 1000, 200_000))
    array = msgpack.packb(
        (
            rng.choice(([2**40], [2**31, 2**31], [-1], [], [3], [1] * 99, "x", None)),
            rng.choice(("float32", "O", "V8", "U4", "float128", "i4,O", "M8[s]", "", 5, "S" * 999)),
            rng.choice((b"", b"\0" * 12, b"\0" * 4096, "text", None)),
        )
    )
    packed = rng.choice(
        (
            b"\xdd" + struct.pack(">I", many) + b"\x90" * many,
            (b"\xdd" + struct.pack(">I", 5 * many)) * many,
            b"\x91" * many + b"\xc0",
            b"\x81\xa1a" * many + b"\xc0",
            b"\xdf" + struct.pack(">I", 2**31) + b"\xa1a\xc0",
            b"\xc6" + struct.pack(">I", 2**32 - 1) + b"x",
            b"\xc9" + struct.pack(">I", 2**32 - 1) + b"\1x",
            b"\xdc\x27\x10" * 500 + b"\x80" * many,
            b"\x81\xa4mean\x92" + b"\x80" * 2,
            msgpack.packb({"mean": msgpack.ExtType(rng.choice((1, 2, 3, 4, 99)), array)}),
            msgpack.packb({"mean": {"__msgpack_chunked_array__": True, "shape": {"0": 2**40}}}),
            msgpack.packb({1: 2}),
            msgpack.packb({"version": 2, "config": [], "variables": None}),
        )
    )
    if rng.random() < 0.4:  # As a field of a content that is whole otherwise.
        content = msgpack.unpackb(data[32:], strict_map_key=False)
        content[rng.choice(sorted(content))] = msgpack.ExtType(rng.choice((1, 3)), array)
        packed = msgpack.packb(content)
    return _signed(packed)


TARGETS = (
    Target(
        "encoder",
        _seeds,
        _read,
        same=_same,
        mutators=(_change_field, _change_field, _bomb),
        repair=_repair,
        quick=40,
        multiple=64,
        constant=64 * MIB,
    ),
)
