"""Checkpoints that are damaged, or of something else, are refused in one line."""

import copy

import jax
import numpy as np
import pytest
import tensorstore

from jhash.errors import InputError
from jhash.runs.checkpoints import Checkpoints

FRESH = {
    "params": {"dense": {"kernel": np.zeros((5, 3), np.float32)}},
    "states": (np.zeros(4, np.int32), {"a": np.zeros((), np.int8)}),
    "none": None,
}


def write(folder, tree):
    with Checkpoints(str(folder), keep=2) as checkpoints:
        checkpoints.save(3, tree)


def restored(folder):
    with Checkpoints(str(folder)) as checkpoints:
        return checkpoints.restore(FRESH)


def test_a_checkpoint_comes_back(tmp_path):
    tree = jax.tree.map(lambda leaf: leaf + 7, FRESH)
    write(tmp_path, tree)
    found = restored(tmp_path)
    assert jax.tree.structure(found) == jax.tree.structure(FRESH)
    jax.tree.map(np.testing.assert_array_equal, found, tree)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": np.ones((6, 3), np.float32)}, r"is float32\[6, 3\] there and float32\[5, 3\]"),
        ({"kernel": np.ones((5, 3), np.int32)}, r"is int32\[5, 3\] there and float32\[5, 3\]"),
        # 40 MB of zeros take few bytes on disk.
        (
            {"kernel": np.zeros(10**7, np.float32)},
            r"is float32\[10000000\] there and float32\[5, 3\]",
        ),
        ({"bias": np.ones(2)}, r"params\.dense\.bias is float64\[2\] there and missing"),
        ({"kernel": None}, r"params\.dense\.kernel is missing there and float32\[5, 3\]"),
    ],
)
def test_another_structure_is_refused_before_it_is_read(tmp_path, monkeypatch, change, message):
    tree = copy.deepcopy(FRESH)
    tree["params"]["dense"].update(change)
    write(tmp_path, tree)
    with Checkpoints(str(tmp_path)) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "restore", None)
        with pytest.raises(InputError, match=rf"^--workdir: checkpoint 3 in .*{message} here\.$"):
            checkpoints.restore(FRESH)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        # tensorstore's own reader would run out of stack, which ends the process.
        ("params.dense.kernel/.zarray", b"[" * 100_000 + b"]" * 100_000),
        ("states.0/.zarray", b'{"a":' * 5000 + b"1" + b"}" * 5000),
        ("states.0/.zarray", b" " * (1 << 17)),
        ("params.dense.kernel/.zarray", b"{}"),
        ("params.dense.kernel/0.0", b"no zstd"),
    ],
)
def test_descriptions_of_arrays_that_are_hostile(tmp_path, key, value):
    write(tmp_path, FRESH)
    spec = {"driver": "ocdbt", "base": f"file://{tmp_path}/3/default/"}
    tensorstore.KvStore.open(spec).result()[key] = value
    with pytest.raises(InputError, match=rf"^{tmp_path}/3: the checkpoint is damaged") as error:
        restored(tmp_path)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < len(str(tmp_path)) + 500


def test_chunks_that_are_larger_than_their_array(tmp_path):
    write(tmp_path, FRESH)
    spec = {"driver": "ocdbt", "base": f"file://{tmp_path}/3/default/"}
    store = tensorstore.KvStore.open(spec).result()
    key = "params.dense.kernel/.zarray"
    store[key] = store[key].replace(b'"chunks":[5,3]', b'"chunks":[1000000,1000000]')
    with pytest.raises(InputError, match=r"kernel has chunks of \[1000000, 1000000\] there"):
        restored(tmp_path)


@pytest.mark.parametrize("name", ["_METADATA", "manifest.ocdbt"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[" * 100_000, b'{"a": 1}'])
def test_files_that_are_damaged_or_missing(tmp_path, name, content):
    write(tmp_path, FRESH)
    path = tmp_path / "3" / "default" / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{tmp_path}/3: the checkpoint is damaged") as error:
        restored(tmp_path)
    assert str(error.value).isprintable()
