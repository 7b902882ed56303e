"""The command line, as a user types it."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import script

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """Runs launch.py with arguments in a folder."""
    streams = tmp_path_factory.mktemp("streams")
    return functools.partial(script.run, ROOT / "launch.py", streams=streams)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--config: none given; allowed: a file"),
        (("--config=missing.py",), "--config: missing.py given; allowed: a file"),
        (
            (f"--config={ROOT}/tests/support/tiny.py", "--config.optimizer.learning_rat=1"),
            "--config.optimizer.learning_rat: field 'learning_rat' given; allowed: fields of "
            "config.optimizer, arguments, average, clip_norm, decay, decay_epochs, learning_rate, "
            "name, rates, schedule, warmup, weight_decay. Did you mean learning_rate?",
        ),
        (
            (f"--config={ROOT}/tests/support/tiny.py", "--config.bits=abc"),
            "config.bits: 'abc' given; allowed: a whole number.",
        ),
        (
            (f"--config={ROOT}/tests/support/tiny.py", "bits=16"),
            "'bits=16' given; allowed: flags alone, which begin with --.",
        ),
        (
            ("--mode=eval", "--workdir=missing", "--config.bits=8"),
            "--config.bits: given without --config; allowed: fields of config.metrics",
        ),
        (
            (f"--config={ROOT}/tests/support/tiny.py", "--config.optimizer.arguments.momentun=0.9"),
            "config.optimizer.arguments: momentun given; allowed: arguments of optax.adamw",
        ),
        (
            (f"--config={ROOT}/tests/support/tiny.py", "--config.data.options.fodler=x"),
            "unknown option fodler; allowed: multi_label",
        ),
        ((f"--config={ROOT}/tests/support/tiny.py", "--config.data.options.x"), "no value given"),
        (("--mode=eval",), "--mode: eval given; allowed: with --workdir"),
        (
            ("--mode=eval", "--workdir=run", f"--config={ROOT}/tests/support/tiny.py"),
            "and without --config",
        ),
        (("--mode=eval", "--workdir=missing"), "missing/config.json: there is no such file"),
        ((f"--config={ROOT}/configs/fdah.py:bit=12",), "--config: 'bit=12' given; allowed: "),
        ((f"--config={ROOT}/configs/fdah.py:bits=x",), "'bits=x' given; allowed: bits=INTEGER"),
        (
            (f"--config={ROOT}/tests/support/tiny.py", "--config.data.source=nothing.here"),
            "module 'nothing' given; allowed: ",
        ),
    ],
)
def test_bad_input_gets_one_line_and_no_traceback(launch, tmp_path, arguments, message):
    done = launch(*arguments, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout
    assert not list(tmp_path.iterdir())


def test_a_platform_that_jax_lacks_gets_one_line(tmp_path):
    words = [sys.executable, str(ROOT / "launch.py"), f"--config={ROOT}/configs/fdah.py:smoke"]
    environment = {**os.environ, "JAX_PLATFORMS": "nothing", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("jhash: JAX_PLATFORMS: 'nothing' given; allowed: platforms that")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_train_prints_a_table_and_eval_repeats_it(launch, tmp_path):
    trained = launch(
        f"--config={ROOT}/tests/support/tiny.py:seed=1", "--config.epochs=2", cwd=tmp_path
    )
    assert trained.returncode == 0, trained.stderr
    (workdir,) = (tmp_path / "runs").iterdir()
    again = f"--mode=eval --workdir=runs/{workdir.name} --trust-modules=tests.support.tiny"
    assert again in trained.stdout
    report = workdir / "report.html"
    assert "</html>" in report.read_text()
    report.unlink()
    metrics = ("--config.metrics.precision_ranks=(10, 20)", "--config.metrics.map_at=30")
    evaluated = launch(*again.split(), *metrics, cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "</html>" in report.read_text()

    def scores(output):
        return [line for line in output.splitlines() if line.startswith(("map", "precision"))]

    added = [line for line in scores(evaluated.stdout) if "_30" in line or "_20" in line]
    assert len(added) == 2
    assert scores(trained.stdout) == [x for x in scores(evaluated.stdout) if x not in added]
    assert len(scores(trained.stdout)) >= 2


def test_arguments_that_no_config_lists_reach_the_optimizer_and_the_source(launch, tmp_path):
    arguments = [f"--config={ROOT}/tests/support/tiny.py", "--config.epochs=1", "--workdir=run"]
    arguments += ["--config.optimizer.name=sgd", "--config.optimizer.arguments.momentum=0.9"]
    arguments += ["--config.data.options.multi_label", "True"]
    done = launch(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["optimizer"]["arguments"] == {"momentum": 0.9}
    assert config["data"]["options"] == {"multi_label": True}
