"""The content of encoder.bin: what Flax writes is read, and nothing else."""

import struct
import tracemalloc

import flax.serialization
import jax.numpy as jnp
import ml_collections
import msgpack
import numpy as np
import pytest

from jhash.encoding import encoder_file
from jhash.errors import InputError

CONTENT = {
    "config": {
        "bits": 12,
        "image": {"size": 8, "scale": 1.0, "crop": None, "channels": None},
        "model": {"name": "a.B"},
        "method": {"name": "fdah"},
    },
    "batch_size": 16,
    "variables": {"params": {"kernel": np.ones((2, 3), np.float32)}, "batch_stats": {}},
    "mean": np.zeros((8, 8, 1), np.float32),
    "image_shape": [8, 8, 1],
}


def test_what_flax_writes_is_read(monkeypatch):
    monkeypatch.setattr(flax.serialization, "MAX_CHUNK_SIZE", 64)  # Larger arrays come in parts.
    arrays = {
        str(dtype): np.arange(24).reshape(2, 3, 4).astype(dtype)
        for dtype in ("float32", "float64", "float16", "int64", "uint8", "bool", jnp.bfloat16)
    }
    content = {**arrays, "scalar": np.float32(2), "empty": np.zeros((0, 3), np.int8), "none": None}
    found = encoder_file.parse(flax.serialization.msgpack_serialize(content))
    assert found.keys() == content.keys()
    for name, value in content.items():
        assert np.asarray(found[name]).dtype == np.asarray(value).dtype
        np.testing.assert_array_equal(found[name], value)


def array_of(shape, name, content):
    array = msgpack.packb((shape, name, content))
    return msgpack.packb({"mean": msgpack.ExtType(1, array)})


@pytest.mark.parametrize(
    "data",
    [
        # Flax would take 5 MB for each of these headers of 5 bytes.
        b"\x81\xa1a" + (b"\xdd" + struct.pack(">I", 600_000)) * 1000 + bytes(600_000),
        b"\xdf" + struct.pack(">I", 2**31) + b"\xa1a\xc0",
        b"\xc6" + struct.pack(">I", 2**32 - 1) + b"x",
        b"\xdc\x27\x10" * 500 + b"\x80" * 200_000,
        b"\x81\xa1a" * 100_000 + b"\xc0",
        b"\x91" * 100_000 + b"\xc0",
        array_of([2**40], "float32", b""),
        array_of([2**32, 2**32], "float32", b""),
        array_of([-1], "float32", bytes(4)),
        array_of([1], "O", bytes(8)),
        array_of([1], "U1", bytes(4)),
        array_of([1], "i4,O", bytes(12)),
        array_of([1] * 99, "int8", b"\0"),
        msgpack.packb({"a": msgpack.ExtType(2, msgpack.packb([1.0, 2.0]))}),
        msgpack.packb({"a": msgpack.ExtType(7, b"")}),
        msgpack.packb({"__msgpack_chunked_array__": True, "shape": {"0": 5}}),
        msgpack.packb({1: 2}),
        msgpack.packb([1]),
        b"",
        b"\xc1",
    ],
)
def test_bombs_and_other_data_are_refused(data):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError):  # noqa: PT011 - msgpack has many.
            encoder_file.parse(data)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(data) + (16 << 20)
    finally:
        tracemalloc.stop()


def test_the_fields_are_checked():
    encoder_file.check(CONTENT)
    encoder_file.check(CONTENT | {"classes": [10, True], "mean": np.float32([1, 2, 3])})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size: 0 given; allowed: "),
        ({"batch_size": True}, "batch_size: True given"),
        ({"image_shape": [2**40, 8, 1]}, r"image_shape: .* given; allowed: \[height"),
        ({"image_shape": [8, 8, 5]}, r"image_shape: \[8, 8, 5\] given"),
        ({"image_shape": [8.0, 8, 1]}, "image_shape: "),
        ({"mean": "text"}, "mean: 'text' given; allowed: an array of finite numbers"),
        ({"mean": np.full((8, 8, 1), np.nan)}, "mean: .* given; allowed: an array of finite"),
        ({"classes": [10]}, r"classes: \[10\] given"),
        ({"classes": [10, 1]}, r"classes: \[10, 1\] given"),
        ({"variables": None}, "variables: a value that is no array given"),
        ({"variables": {"params": {"kernel": 5}}}, "variables: a value that is no array given"),
        ({"variables": {"a": np.array([np.inf])}}, "variables: NaN or infinity in 'a' given"),
        ({"config": []}, "config: no group given"),
        ({"config": {}}, r"config\.bits: none given"),
        ({"config": CONTENT["config"] | {"bits": 8.5}}, r"config\.bits: 8\.5 given"),
        ({"config": CONTENT["config"] | {"model": {}}}, r"config\.model\.name: none given"),
        ({"config": CONTENT["config"] | {"method": "fdah"}}, r"config\.method: 'fdah' given"),
        ({"config": CONTENT["config"] | {"image": {"size": 10**9}}}, r"config\.image\.size: 1000"),
        ({"more": 1}, "'more': no such field"),
    ],
)
def test_a_field_that_is_wrong_is_named(change, message):
    with pytest.raises(InputError, match=f"^{message}"):
        encoder_file.check(CONTENT | change)
    for name in CONTENT:
        with pytest.raises(InputError, match=f"^{name}: nothing given"):
            encoder_file.check({key: value for key, value in CONTENT.items() if key != name})


def test_a_config_is_not_changed():
    encoder_file.check(CONTENT)
    assert isinstance(CONTENT["config"], dict)
    assert not isinstance(CONTENT["config"]["image"], ml_collections.ConfigDict)
