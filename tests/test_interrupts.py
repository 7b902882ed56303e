"""A training that a signal stops in this process, and that goes on with the next step."""

import json
import signal

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from jhash import evaluate, train
from jhash.errors import InputError
from jhash.methods import graph_autoencoder
from jhash.methods.deep import fdah
from jhash.runs.epochs import Epochs
from jhash.runs.log import Log
from jhash.system import interrupts
from tests.support import signals, tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")


def tiny_config():
    config = tiny.get_config()
    config.epochs, config.checkpoint_every, config.batch_size = 3, 2, 32
    return config


def last_checkpoint(folder):
    """The last checkpoint but its time, as bytes."""
    manager = ocp.CheckpointManager(folder / "checkpoints")
    tree = manager.restore(manager.latest_step(), args=ocp.args.StandardRestore())
    manager.close()
    tree.pop("seconds")
    return jax.tree.map(lambda leaf: np.asarray(leaf).tobytes(), tree)


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_bits(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    config, whole, broken = tiny_config(), tmp_path / "whole", tmp_path / "broken"
    train.train(config, str(whole))
    # An epoch has 5 steps. The metrics of a step are reported when the next one has begun.
    step = lambda number: lambda config, epochs, epoch, at, *_: at == number  # noqa: E731
    stops = [
        (train, "_report", step(2), "step 3, in epoch 1"),
        (train, "_report", step(5), "step 5, in epoch 1"),
        # The end of the epoch that has just been saved is computed again.
        (fdah, "solve_group_codes", lambda *_: True, "step 5, in epoch 1"),
        # No checkpoint is due after epoch 1, and none but that of the interruption is needed.
        (Log, "write", lambda log, at, epoch, metrics: (at, epoch) == (5, 1), "epoch 1"),
        (evaluate, "_metrics", lambda *_: True, "epoch 3"),
    ]
    for module, name, at, kept in stops:
        capsys.readouterr()
        with signals.coming(monkeypatch, module, name, at) as sent:
            with pytest.raises(KeyboardInterrupt):
                train.train(config, str(broken))
            assert sent
        line = capsys.readouterr().err.splitlines()[-1]
        assert line == (
            f"jhash: stopped by Ctrl-C. {broken} keeps the checkpoint after {kept}; the same "
            "command goes on from there."
        )
        if "step" in kept:
            steps = [json.loads(text)["step"] for text in (broken / "metrics.jsonl").open()]
            assert steps == list(range(1, 1 + int(kept.split()[1].strip(","))))
    train.train(config, str(broken))
    assert last_checkpoint(whole) == last_checkpoint(broken)
    names = ["metrics.jsonl", "encoder.bin"]
    for name in names:
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
    assert sorted(path.name for path in broken.iterdir()) == sorted(
        path.name for path in whole.iterdir()
    )


def test_sigterm_before_the_first_step(tmp_path, monkeypatch):
    """Nothing is saved yet, and the program has a handler of its own that only takes note."""
    config = tiny_config()
    delivered = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: delivered.append(number))
    # A method whose long work before the first epoch may end anywhere.
    monkeypatch.setattr(fdah, "pretrain", lambda *_: pytest.fail("began"), raising=False)
    with signals.coming(monkeypatch, train, "_pretrain", number=signal.SIGTERM):
        try:
            with pytest.raises(KeyboardInterrupt):
                train.train(config, str(tmp_path / "run"))
        finally:
            signal.signal(signal.SIGTERM, before)
    assert delivered == [signal.SIGTERM]
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def embed(folder, **options):
    """Codes of a small graph."""
    rows = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    options = {"hidden": (5,), "batch": 20, "pretrain_epochs": 1, "epochs": 2} | options
    with interrupts.held(lambda: ""), interrupts.at_once():
        return graph_autoencoder.train(
            rows, 4, jax.random.key(0), str(folder), graph_autoencoder.Options(**options)
        )


def test_the_training_on_a_graph_stops_within_an_epoch(tmp_path, monkeypatch):
    """In the training of a layer, of the whole stack, and between two epochs."""
    codes = embed(tmp_path / "whole")
    init = graph_autoencoder._Phase.__init__

    def with_signal(self, *arguments):
        """Its second step of this process is interrupted."""
        init(self, *arguments)
        step, calls = self._step, []

        def wrapped(*arguments):
            calls.append(True)
            if len(calls) == 2:
                signal.raise_signal(signal.SIGINT)
            return step(*arguments)

        self._step = wrapped

    kept = []
    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(graph_autoencoder._Phase, "__init__", with_signal)
            with pytest.raises(KeyboardInterrupt):
                embed(tmp_path / "broken")
        kept += [path.name for path in (tmp_path / "broken" / "interrupted").iterdir()]
    assert kept == ["2", "5", "8"]  # Steps; an epoch has three.
    with signals.coming(monkeypatch, Epochs, "save"), pytest.raises(KeyboardInterrupt):
        embed(tmp_path / "broken")
    assert not (tmp_path / "broken" / "interrupted").exists()
    np.testing.assert_array_equal(embed(tmp_path / "broken"), codes)
    logs = [(tmp_path / run / "metrics.jsonl").read_bytes() for run in ("whole", "broken")]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("where", ["file", "file/run", "/proc/run", "/dev/full"])
def test_a_folder_that_cannot_be_made_shows_before_the_work(tmp_path, monkeypatch, where):
    (tmp_path / "file").touch()
    monkeypatch.setattr(train, "build", lambda config: pytest.fail("the work began"))
    workdir = str(tmp_path / where)
    message = rf"^--workdir: {workdir} given, in which no file can be made: (No such|Not a) .*; al"
    with pytest.raises(InputError, match=message):
        train.train(tiny_config(), workdir)


def test_memory_that_is_short_names_the_fields(tmp_path, monkeypatch):
    def hungry(*arguments):
        return np.ones((1 << 42,), np.uint32)

    monkeypatch.setattr(train, "_train", hungry)
    with pytest.raises(InputError, match=r"^memory: 16\.0 TiB requested") as caught:
        train.train(tiny_config(), str(tmp_path / "run"))
    line = str(caught.value)
    assert "A lower config.batch_size (32 here) or config.eval_batch_size (16 here)" in line
    assert line.endswith(f"{tmp_path}/run has no checkpoint yet; the same command begins anew.")
