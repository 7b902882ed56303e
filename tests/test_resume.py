"""A run that is killed at any moment and started again ends with the same bits."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jhash.runs.checkpoints import Checkpoints
from tests.support import quick

ROOT = Path(__file__).resolve().parent.parent
# What may differ between two runs of one config.
TIMES = ("train_seconds", "encode_seconds_per_image", "seconds")


def launch(workdir, cache, multi_label):
    environment = {
        **os.environ,
        **quick.ENVIRONMENT,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        # Of its own: a killed process may leave a torn file.
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, str(ROOT / "launch.py"), f"--config={ROOT}/tests/support/tiny.py"]
    command += [f"--workdir={workdir}", "--config.epochs=12"]
    command += [f"--config.data.options.multi_label={multi_label}"]
    return subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(process):
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output.decode()


def final_state(workdir):
    """Every leaf of the last checkpoint but the time, as bytes."""
    import orbax.checkpoint as ocp

    manager = ocp.CheckpointManager(workdir / "checkpoints")
    tree = manager.restore(12, args=ocp.args.StandardRestore())
    manager.close()
    tree.pop("seconds")
    return tree


def results(workdir):
    def timeless(value):
        if isinstance(value, dict):
            return {k: timeless(v) for k, v in value.items() if k not in TIMES}
        return value

    return timeless(json.loads((workdir / "results.json").read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("multi_label", [False, True])
def test_killed_runs_end_with_the_same_bits(tmp_path, multi_label):
    whole, broken, cache = tmp_path / "whole", tmp_path / "broken", tmp_path / "cache"
    finish(launch(whole, cache, multi_label))
    random.seed(0)
    kills = 0
    # Once the run has come so far, at a moment that the test does not choose: in the first epochs,
    # around later checkpoints, and in the evaluation.
    stages = [(lambda n=n: has_epoch(broken, n), 0.1) for n in (0, 1, 6)]
    stages.append((lambda: (broken / "codes").exists(), 0))
    for reached, spread in stages:
        process = launch(broken, cache, multi_label)
        deadline = time.time() + 120
        while not reached() and process.poll() is None and time.time() < deadline:
            time.sleep(0.001)
        time.sleep(random.uniform(0, spread))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
    assert kills == len(stages), "a run ended before it was killed"
    finish(launch(broken, cache, multi_label))

    import jax

    left, right = final_state(whole), final_state(broken)
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for path, leaf in jax.tree_util.tree_leaves_with_path(left):
        other = right
        for key in path:
            other = other[getattr(key, "key", getattr(key, "idx", None))]
        assert np.asarray(leaf).tobytes() == np.asarray(other).tobytes(), path
    assert (whole / "metrics.jsonl").read_bytes() == (broken / "metrics.jsonl").read_bytes()
    assert results(whole) == results(broken)
    encoder = (whole / "encoder.bin").read_bytes()
    assert encoder == (broken / "encoder.bin").read_bytes()
    for name in ("queries", "database", "database_learned"):
        with (
            np.load(whole / "codes" / f"{name}.npz") as one,
            np.load(broken / "codes" / f"{name}.npz") as two,
        ):
            assert all(np.array_equal(one[key], two[key]) for key in one.files)
            assert one["network"] == hashlib.sha256(encoder[32:]).hexdigest()


def has_epoch(workdir, epoch):
    path = workdir / "metrics.jsonl"
    return path.exists() and f'"epoch": {epoch},' in path.read_text()


def test_a_half_written_checkpoint_is_ignored(tmp_path):
    tree = {"x": np.arange(3.0)}
    with Checkpoints(str(tmp_path), keep=2) as checkpoints:
        checkpoints.save(1, tree)
    torn = tmp_path / "2.orbax-checkpoint-tmp"
    torn.mkdir()
    (torn / "garbage").write_bytes(b"x")
    with Checkpoints(str(tmp_path), keep=2) as checkpoints:
        restored = checkpoints.restore({"x": np.zeros(3)})
    np.testing.assert_array_equal(restored["x"], tree["x"])
