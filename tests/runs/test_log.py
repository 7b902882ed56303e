"""The log: resumed where the checkpoint is, and a bad number stops it."""

import json

import pytest

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


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_number_names_step_and_metric(tmp_path, bad):
    with (
        Log(str(tmp_path), 0) as writer,
        pytest.raises(NonFiniteError, match=r"step 7 \(epoch 2\): grad_norm is (nan|inf)"),
    ):
        writer.write(7, 2, {"loss": 1.0, "grad_norm": bad})
