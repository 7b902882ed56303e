"""The folder of checkpoints of a training: damaged, cut off, and of another structure.

Names of orbax's files are random, so the checkpoint that is changed is kept in `checkpoint.zip`.
`python -m tests.support.fuzzing.targets.checkpoints` writes it.
"""

import json
import pathlib
import random
import tempfile
import zipfile

import jax
import numpy as np
import tensorstore

from jhash.runs.checkpoints import Checkpoints
from tests.support.fuzzing import mutations
from tests.support.fuzzing.target import MIB, Files, Target, equal, files_of

_ARCHIVE = pathlib.Path(__file__).parents[1] / "checkpoint.zip"
_FRESH = {
    "params": {"dense": {"kernel": np.zeros((5, 3), np.float32), "bias": np.zeros(3, np.float32)}},
    "state": [np.zeros(4, np.int32), np.zeros((2, 2), np.int8)],
    "step": np.zeros((), np.int64),
}
_SHAPES = ([], [1], [5, 3], [4, 3], [2**40], [2**31, 2**31], [-1], [2**63], [1] * 40, "x", None)
_METADATA = {
    "shape": _SHAPES,
    "chunks": _SHAPES,
    "dtype": ("<f4", "<f8", "|O", "|V9", "<M8[s]", [["a", "<f4"]], "<i4", "", 5),
    "compressor": (None, {"id": "zstd", "level": 99}, {"id": "blosc"}, {"id": "bz2"}, {}, 7),
    "order": ("F", "x", 1),
    "filters": ([], [{"id": "delta"}], 1),
    "fill_value": (0, "NaN", "text", 2**70),
    "zarr_format": (1, 3, 2**40, "2"),
    "dimension_separator": ("/", "..", 3),
}


def _write_archive():
    rng = np.random.default_rng(0)
    filled = jax.tree.map(lambda leaf: rng.integers(1, 9, leaf.shape).astype(leaf.dtype), _FRESH)
    with tempfile.TemporaryDirectory() as folder:
        with Checkpoints(folder, keep=2) as checkpoints:
            checkpoints.save(3, filled)
        with zipfile.ZipFile(_ARCHIVE, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files_of(pathlib.Path(folder)).items():
                archive.writestr(name, content)


def _seeds():
    with zipfile.ZipFile(_ARCHIVE) as archive:
        return [{name: archive.read(name) for name in archive.namelist()}]


def _read(folder: pathlib.Path):
    with Checkpoints(str(folder)) as checkpoints:
        return checkpoints.newest, checkpoints.restore(_FRESH)


def _rewrite(rng: random.Random, files: Files) -> Files:
    """Changes the description of an array, or what is stored of it, in the database of arrays."""
    with tempfile.TemporaryDirectory(prefix="jhash-fuzz-") as name:
        folder = pathlib.Path(name)
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        spec = {"driver": "ocdbt", "base": f"file://{folder}/3/default/"}
        store = tensorstore.KvStore.open(spec).result()
        key = rng.choice(sorted(store.list().result()))
        value = store[key]
        if not key.endswith(b".zarray") or rng.random() < 0.2:
            value = mutations.change(rng, value, [])
        elif rng.random() < 0.1:
            value = mutations.deep(rng)
        else:
            fields = json.loads(value)
            for field in rng.choices(sorted(_METADATA), k=rng.choice((1, 1, 2))):
                fields[field] = rng.choice(_METADATA[field])
            value = json.dumps(fields).encode()
        if rng.random() < 0.05:
            del store[key]
        else:
            store[key] = value
        return files_of(folder)


def _change_json(rng: random.Random, name: str, data: bytes) -> bytes:
    if name.endswith("METADATA") and rng.random() < 0.3:
        return mutations.deep(rng)
    return mutations.change_json(rng, data) if name.endswith("METADATA") else data[:-1]


def _same_shapes(value, expected):
    """What is stored of an array may be anything that the array can hold."""
    return equal(jax.tree.map(_shape, value), jax.tree.map(_shape, expected))


def _shape(leaf):
    return str(np.asarray(leaf).dtype), np.shape(leaf)


_LIMITS = {"constant": 64 * MIB, "quick": 20}
TARGETS = (
    Target("checkpoints", _seeds, _read, mutators=(_change_json,), whole_files=True, **_LIMITS),
    Target("checkpoint_arrays", _seeds, _read, rewrites=(_rewrite,), same=_same_shapes, **_LIMITS),
)


if __name__ == "__main__":
    _write_archive()
