"""A run that is killed or stopped at any moment and started again ends with the same bits."""

import hashlib
import json
import random
import signal
import time

import numpy as np
import pytest

from jhash.runs.checkpoints import Checkpoints
from tests.support import kills
from tests.support.child import Child

# What may differ between two runs of one config.
TIMES = ("train_seconds", "encode_seconds_per_image", "seconds")
EPOCHS = 6


class Runs:
    """Runs of one config, in a folder of the test's: it keeps the best epoch, too."""

    def __init__(self, folder):
        self._folder = folder
        self._fields = {"epochs": EPOCHS, "data__validation": 40, "eval_every": 1, "keep": "best"}

    def start(self, name):
        """Starts a process that begins or continues the run of that name."""
        output = self._folder / f"{name}.txt"
        return Child(self._folder / name, self._folder / "cache", output, **self._fields)

    def finish(self, name):
        """Trains the run of that name to its end."""
        status, output = self.start(name).end()
        assert status == 0, output


def results(workdir):
    def timeless(value):
        if isinstance(value, dict):
            return {k: timeless(v) for k, v in value.items() if k not in TIMES}
        return value

    return timeless(json.loads((workdir / "results.json").read_text()))


def log_file(workdir):
    """What tells a log from that of an earlier process, which this one replaces when it begins."""
    path = workdir / "metrics.jsonl"
    return path.stat().st_ino if path.exists() else None


def has_epoch(workdir, epoch):
    return f'"epoch": {epoch},' in (workdir / "metrics.jsonl").read_text()


def assert_same_bits(whole, broken):
    assert kills.checkpoint(whole, EPOCHS) == kills.checkpoint(broken, EPOCHS)
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
    names = [sorted(path.name for path in run.iterdir()) for run in (whole, broken)]
    assert names[0] == names[1]


@pytest.mark.slow
def test_killed_and_stopped_runs_end_with_the_same_bits(tmp_path):
    runs, whole, broken = Runs(tmp_path), tmp_path / "whole", tmp_path / "broken"
    runs.finish("whole")
    rng = random.Random(0)
    # Once the run has come so far, at a moment that the test does not choose: in the first epochs,
    # around later checkpoints, and in the evaluation.
    stages = [
        (signal.SIGKILL, lambda: has_epoch(broken, 0), 0.1),
        (signal.SIGTERM, lambda: has_epoch(broken, 0), 0.05),
        (signal.SIGKILL, lambda: has_epoch(broken, 1), 0.1),
        (signal.SIGINT, lambda: has_epoch(broken, 2), 0.02),
        (signal.SIGKILL, lambda: (broken / "codes").exists(), 0),
    ]
    statuses = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
    for number, reached, spread in stages:
        before = log_file(broken)
        child = runs.start("broken")
        child.wait_until(lambda before=before: log_file(broken) != before)
        assert child.wait_until(reached), "a run ended before it was stopped"
        time.sleep(rng.uniform(0, spread))
        child.signal(number)
        status, output = child.end()
        assert status == statuses[number], output
        assert "Traceback" not in output
        if number != signal.SIGKILL:
            assert output.splitlines()[-1].startswith("jhash: stopped by "), output
            assert " keeps the checkpoint after " in output
    runs.finish("broken")
    assert_same_bits(whole, broken)


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
