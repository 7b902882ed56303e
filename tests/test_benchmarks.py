"""The benchmarks that can be small run, and both networks of DAH's are the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.quick import ENVIRONMENT

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize(
    ("script", "sizes"),
    [
        ("evaluation_speed", "--queries=20 --database=300 --numpy_queries=5 --repeats=1"),
        ("fdah_updates", "--n=300 --m=20 --bits=8"),
        ("graph_scale", "--nodes=300 --features=8 --bits=8 --turns=1"),
    ],
)
def test_script_runs(script, sizes):
    run = subprocess.run(
        [sys.executable, FOLDER / f"{script}.py", *sizes.split()],
        capture_output=True,
        text=True,
        env=os.environ | ENVIRONMENT,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize(("task", "dtype"), [("train", "float32"), ("encode", "bfloat16")])
def test_dahs_networks_agree(task, dtype, monkeypatch):
    """Outputs, and in training the loss and the gradient of each parameter."""
    monkeypatch.syspath_prepend(FOLDER)
    from dah_sides import Jhash, Job, PyTorch
    from dah_throughput import prepare

    def peer(side):
        return lambda method, *arguments: getattr(side, method)(*arguments)

    ours, job = Jhash(), Job(task, 20, (8, 8, 3), "shifted", dtype)
    assert prepare(job, peer(ours), peer(PyTorch()), ours.weights(job.shape)) > 0
