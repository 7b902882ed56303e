"""The benchmarks that can be small run, with the same numbers as JSON; DAH's models are equal."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jhash.solvers import factored_graph, neighbor_diffusion
from tests.support.quick import ENVIRONMENT

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
SMALL = {
    "baselines": "--smoke --bits=8 --methods lsh itq",
    "evaluation_speed": "--queries=20 --database=300 --numpy_queries=5 --repeats=1",
    "fdah_updates": "--n=300 --m=20 --bits=8",
    "graph_codes": "--smoke --embedding=itq --images=40 --queries=10",
    "hamming_search": "--n=1000 --rounds=1 --ks 10 --numpy",
    "index_threads": "--n=3000 --large=5000 --seconds=0.2",
    "label_free": "--smoke --bits=8 --seeds=2 --labels",
    "near_search": "--growth 3000 --numpy",
    "streamed_search": "--n=3000 --rounds=1 --batches 2 --ways stream load --numpy",
}
# These take minutes, or long to compile, or a trained run.
LARGE = [
    "asymmetric_updates",
    "dah_throughput",
    "engines",
    "graph_scale",
    "graph_terms",
    "image_input",
    "lattice_cost",
    "reversible_training",
    "serve_load",
]
# These have a test of their own.
ELSEWHERE = {"gpu", "scaling"}


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, FOLDER / f"{script}.py", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_script_prints_a_table():
    printed = run("fdah_updates", *SMALL["fdah_updates"].split())
    assert not printed.startswith("{")
    assert "first call" in printed


@pytest.mark.slow
@pytest.mark.parametrize("script", SMALL)
def test_script_prints_one_json_object(script):
    numbers = json.loads(run(script, *SMALL[script].split(), "--json"))
    tables = [value for value in numbers.values() if isinstance(value, list)]
    assert any(isinstance(row, dict) for table in tables for row in table)


@pytest.mark.slow
@pytest.mark.parametrize("script", LARGE)
def test_help(script):
    """What the script imports is there."""
    assert "--json" in run(script, "--help")


def test_every_script_is_tested():
    scripts = {path.stem for path in FOLDER.glob("*.py")} - {"output", "dah_sides", "graph_rows"}
    assert scripts == {*SMALL, *LARGE, *ELSEWHERE}


def test_the_limit_of_diffusion_is_that_of_many_rounds(monkeypatch):
    """As a matrix of the benchmark, against the rounds of jhash."""
    monkeypatch.syspath_prepend(FOLDER)
    import graph_rows

    features = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    graph = graph_rows.METRICS["limit"](features)
    limit = factored_graph.rows(graph, np.arange(60)) @ factored_graph.unit(features)
    rounds = neighbor_diffusion.diffuse(features, graph_rows.NEIGHBORS, graph_rows.WEIGHT, 300)
    np.testing.assert_allclose(limit, rounds, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_dahs_models_agree(monkeypatch):
    """The benchmark itself checks this before it times anything; here without training."""
    monkeypatch.syspath_prepend(FOLDER)
    from dah_sides import Jhash, Job
    from dah_throughput import prepare
    from peers.dah_torch import PyTorch

    def peer(side):
        return lambda method, *arguments: getattr(side, method)(*arguments)

    ours, job = Jhash(), Job("encode", 20, (8, 8, 3), "shifted", "bfloat16")
    assert prepare(job, peer(ours), peer(PyTorch()), ours.weights(job.shape)) > 0
