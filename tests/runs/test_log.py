"""The log: resumed where the checkpoint is, and a bad number stops it."""

import json

import pytest
from tensorboard.backend.event_processing import event_accumulator

from jhash.errors import NonFiniteError
from jhash.runs.log import Log


def lines(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_a_resumed_writer_drops_what_came_after_the_checkpoint(tmp_path):
    with Log(str(tmp_path), 0) as writer:
        for step in (1, 2, 3):
            writer.write(step, 0, {"loss": 0.1 * step})
        writer.flush()
        with open(tmp_path / "metrics.jsonl", "a") as file:
            file.write('{"step": 4, "epo')  # What a kill leaves.
    with Log(str(tmp_path), 2) as writer:
        writer.write(3, 0, {"loss": 7.0})
    assert [line["loss"] for line in lines(tmp_path)] == [0.1, 0.2, 7.0]
    assert lines(tmp_path)[-1] == {"step": 3, "epoch": 0, "loss": 7.0}


def test_tensorboard_shows_what_the_log_has(tmp_path):
    """Read by TensorBoard itself, which hides what came after the checkpoint."""
    with Log(str(tmp_path), 0) as writer:
        for step in (1, 2, 3):
            writer.write(step, 0, {"loss": 0.1 * step, "learning_rate": 1e-3})
    with Log(str(tmp_path), 2) as writer:
        writer.write(3, 0, {"loss": 7.0, "learning_rate": 1e-3})
        writer.write(4, 1, {"loss": 5.0, "learning_rate": 1e-4})
    board = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(board.Tags()["scalars"]) >= {"loss", "learning_rate"}
    for name in ("loss", "learning_rate"):
        shown = [(event.step, event.value) for event in board.Scalars(name)]
        logged = [(line["step"], pytest.approx(line[name])) for line in lines(tmp_path)]
        assert shown == logged


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_number_names_step_and_metric(tmp_path, bad):
    with (
        Log(str(tmp_path), 0) as writer,
        pytest.raises(NonFiniteError, match=r"step 7 \(epoch 2\): grad_norm is (nan|inf)"),
    ):
        writer.write(7, 2, {"loss": 1.0, "grad_norm": bad})
