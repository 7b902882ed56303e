"""The JSON files of a run, the codes beside them, and its reconstructed images."""

import io
import json
import pathlib
import random

import ml_collections
import numpy as np

from jhash.report import reconstruction
from jhash.runs import finished, log, schema, workdirs
from jhash.runs.finished import Run
from tests.support.fuzzing import mutations
from tests.support.fuzzing.target import MIB, Target

_RESULTS = {
    "method": "fdah",
    "model": "small_cnn.SmallCNN",
    "bits": 12,
    "seed": 0,
    "data": {"source": "a.b", "split": "c.d", "train": 9, "database": 5, "queries": 4},
    "epochs": 2,
    "epochs_planned": 2,
    "steps": 8,
    "parameters": 100,
    "train_seconds": 1.5,
    "encode_seconds_per_image": 0.25,
    "eval_batch_size": 4,
    "versions": {"jax": "0.10"},
    "device": {"kind": "cpu", "count": 1, "machine": "x86_64"},
    "git_revision": None,
    "config": {
        "data": {"source": "a.b", "split": "c.d", "seed": 0, "options": {}},
        "metrics": {"map_at": None, "precision_ranks": [2], "lookup_radius": 2},
    },
    "learned": {"map": 0.5},
    "encoded": {"map": 0.25, "map_at_2": 0.5},
}
_LINES = [{"step": step, "epoch": 0, "loss": 1 / step, "rate": 10} for step in range(1, 5)]
_CONFIG = {
    "seed": 0,
    "bits": 12,
    "method": {"name": "fdah", "passes": 2},
    "model": {"name": "small_cnn.SmallCNN", "widths": [8, 16]},
    "data": {"source": "a.b", "options": {"multi_label": False, "text": None}},
}


def _npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _run_seeds():
    rng = np.random.default_rng(0)

    def codes(count):
        packed = rng.integers(0, 1 << 12, (count, 1), dtype=np.uint32)
        return _npz(codes=packed, ids=np.arange(count), labels=np.arange(count) % 2, bits=12)

    return [
        {
            "results.json": json.dumps(_RESULTS, indent=2).encode(),
            "metrics.jsonl": "".join(json.dumps(line) + "\n" for line in _LINES).encode(),
            "codes/queries.npz": codes(4),
            "codes/database.npz": codes(5),
            "codes/database_learned.npz": codes(5),
        }
    ]


def _read_run(folder: pathlib.Path):
    [run] = finished.read_all([str(folder)])
    return run.results, run.lines, run.queries.codes, run.databases["encoded"].codes


def _json_oracle(folder: pathlib.Path):
    """Reads JSON independently; refuses what JSON itself does not have."""
    results = json.loads((folder / "results.json").read_text("utf-8"))
    assert isinstance(results["bits"], int)
    text = b""
    if (folder / "metrics.jsonl").exists():
        text = (folder / "metrics.jsonl").read_bytes()
    lines = [json.loads(line) for line in text.split(b"\n")[:-1]]
    for line in lines:
        json.dumps(line, allow_nan=False)
        assert all(type(value) in (int, float) for value in line.values())
    content = {}
    for name in ("queries", "database"):
        with np.load(folder / "codes" / f"{name}.npz") as file:
            content[name] = file["codes"].astype(np.uint32)
            assert len(file["ids"]) == len(file["labels"]) == len(file["codes"]) > 0
    return results, lines, content["queries"], content["database"]


def _config_seeds():
    return [{"config.json": json.dumps(_CONFIG, indent=2).encode()}]


def _read_config(folder: pathlib.Path):
    config = workdirs.load(str(folder))
    return workdirs.plain(config)


def _config_oracle(folder: pathlib.Path):
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert isinstance(config, dict)
    return workdirs.plain(ml_collections.ConfigDict(config))


def _log_seeds():
    return [{"metrics.jsonl": _run_seeds()[0]["metrics.jsonl"]}]


def _read_log(folder: pathlib.Path):
    """Reads the log, and opens it as a run that is resumed does."""
    before = log.read_lines(str(folder)), log.last_line(str(folder))
    with log.Log(str(folder), 2):
        pass
    return *before, log.read_lines(str(folder))


def _log_oracle(folder: pathlib.Path):
    """What is left of the log after `_read_log`: all lines up to step 2."""
    text = (folder / "metrics.jsonl").read_bytes()
    lines = [json.loads(line) for line in text.split(b"\n")[:-1]]
    assert all(line["step"] <= 2 for line in lines)
    return lines


def _same_log(value, expected):
    before, last, after = value
    return (
        after == expected
        and after == [line for line in before if line["step"] <= 2]
        and (last == (before[-1] if before else {}))
    )


def _change_json(rng: random.Random, name: str, data: bytes) -> bytes:
    """Replaces a value by one of another type, or nests it deeply."""
    if not name.endswith((".json", ".jsonl")):
        return mutations.change(rng, data, [])
    if name.endswith(".jsonl"):
        lines = data.splitlines(keepends=True)
        place = rng.randrange(len(lines))
        lines[place] = rng.choice((_deep, mutations.change_json))(rng, lines[place]) + b"\n"
        return b"".join(lines)
    if rng.random() < 0.2:
        return _deep(rng, data)
    return mutations.change_json(rng, data)


def _deep(rng: random.Random, data: bytes) -> bytes:
    """Puts something deep, or a number of thousands of digits, in the place of the first number."""
    digits = next((place for place, byte in enumerate(data) if chr(byte).isdigit()), 0)
    hostile = rng.choice((mutations.deep(rng), b"9" * 5000, b"1e400", b"-0", b'"' + b"x" * MIB))
    return data[:digits] + hostile + data[digits + 1 :]


def _images_seeds():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    arrays = {"original": images, "reconstructed": images[::-1], "ids": np.arange(3)}
    arrays |= {"in_range": np.array([True, True, False]), "labels": np.arange(3)}
    return [{"reconstruction.npz": _npz(**arrays)}]


def _read_images(folder: pathlib.Path):
    """Shows the images as the report does, which says in the page that a file is damaged."""
    results = {
        "reconstruction": {
            "images": 3,
            "identical_images": 1,
            "largest_difference": None,
            "lattice": None,
            "out_of_range_images": 1,
        }
    }
    schema._check("results.json", results, schema._RECONSTRUCTION)
    run = Run("run", str(folder), results, [], None, {})
    return reconstruction._table(reconstruction._read(run))


TARGETS = (
    Target(
        "run",
        _run_seeds,
        _read_run,
        oracle=_json_oracle,
        mutators=(_change_json,),
        whole_files=True,
        quick=150,
        multiple=64,
        constant=80 * MIB,
    ),
    Target(
        "config",
        _config_seeds,
        _read_config,
        oracle=_config_oracle,
        mutators=(_change_json,),
        quick=100,
        multiple=128,
    ),
    Target(
        "log",
        _log_seeds,
        _read_log,
        oracle=_log_oracle,
        same=_same_log,
        mutators=(_change_json,),
        quick=60,
        multiple=64,
    ),
    Target(
        "reconstruction",
        _images_seeds,
        _read_images,
        same=lambda value, expected: isinstance(value, str),
        quick=100,
        multiple=64,
        constant=80 * MIB,
    ),
)
