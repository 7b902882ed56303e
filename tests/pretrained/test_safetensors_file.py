"""Files of safetensors: what is read, and what is refused."""

import os
import sys

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from jhash.errors import InputError
from jhash.pretrained import named_weights


def test_arrays_of_all_precisions_are_read(tmp_path):
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.float16([1.5]),
        "c": np.array([0.5, -2], ml_dtypes.bfloat16),
        "d": np.int64([3]),
    }
    path = tmp_path / "weights"  # The content says what it is, not the name.
    safetensors.numpy.save_file(arrays, path, {"format": "pt"})
    found = named_weights.read(path)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    weights = named_weights.NamedWeights(path, "Net")
    assert weights.take("c", 2).dtype == np.float32
    with pytest.raises(InputError, match=r"it has a, b, d, which Net has not\.$"):
        weights.check()


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    safetensors.numpy.save_file({"a": np.zeros(100, np.float32)}, path)
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:30], whole[:8] + b"{" + b"[" * 200):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"w\.safetensors given; .* it is not readable"):
            named_weights.read(path)
    for content in (b"", b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"w\.safetensors given; allowed: PyTorch checkpoints"):
            named_weights.read(path)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "missing", ""):
        with pytest.raises(
            InputError, match=r"given; allowed: PyTorch checkpoints and \.safetensors"
        ):
            named_weights.read(tmp_path / name)


def test_complex_numbers_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    safetensors.numpy.save_file({"a": np.zeros(2, np.complex64)}, path)
    with pytest.raises(InputError, match="a has the type complex64"):
        named_weights.read(path)


def test_without_the_library_its_extra_is_named(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    safetensors.numpy.save_file({"a": np.zeros(2, np.float32)}, path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(InputError, match=r"pip install 'jhash\[weights\]'"):
        named_weights.read(path)
