"""The log of a training: `metrics.jsonl`, TensorBoard, and a check that all is finite."""

import json
import math
import os

import numpy as np
import tensorboardX

from jhash.errors import InputError, NonFiniteError
from jhash.runs import paths, schema
from jhash.system import files


class Log:
    """Appends to `metrics.jsonl` and to TensorBoard; a resumed run goes on where its state is.

    A line of `metrics.jsonl` is a JSON object with `step` (steps done), `epoch` (epochs done before
    it was written) and the metrics. It holds no times, so that an interrupted run leaves the same
    bytes.
    """

    def __init__(self, workdir: str, step: int):
        """Opens the run's files and drops what was written after `step`, the state's steps."""
        self._path = paths.metrics(workdir)
        _keep_until(self._path, step)
        self._file = open(self._path, "a", buffering=1)  # noqa: SIM115 - closed by close()
        self._events = tensorboardX.SummaryWriter(paths.tensorboard(workdir), purge_step=step + 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Puts everything on disk and closes the files."""
        self.flush()
        self._file.close()
        self._events.close()

    def check(self, step: int, epoch: int, metrics) -> None:
        """Raises NonFiniteError, naming step and metric, if a metric is NaN or infinite."""
        for name, value in metrics.items():
            if np.ndim(value) or name in ("step", "epoch"):
                raise InputError(
                    f"metric {name!r}: shape {np.shape(value)} given; allowed are scalars that are "
                    "not called step or epoch."
                )
            if not math.isfinite(value):
                raise NonFiniteError(
                    f"step {step} (epoch {epoch}): {name} is {float(value)}. The run stops here; "
                    "its last checkpoint is from before. A lower config.optimizer.learning_rate "
                    "may help."
                )

    def write(self, step: int, epoch: int, metrics) -> None:
        """Checks the metrics, scalars by name, and writes them as a line."""
        self.check(step, epoch, metrics)
        values = {name: float(value) for name, value in metrics.items()}
        self._file.write(json.dumps({"step": step, "epoch": epoch, **values}) + "\n")
        self.write_events(step, values)

    def write_events(self, step: int, values: dict[str, float]) -> None:
        """Writes to TensorBoard alone: times and rates."""
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def flush(self) -> None:
        """Puts everything written so far on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._events.flush()


def last_line(workdir: str) -> dict:
    """The last metrics that a run has written; empty before the first."""
    lines = _whole_lines(paths.metrics(workdir))
    return json.loads(lines[-1]) if lines else {}


def read_lines(workdir: str) -> list[dict]:
    """Reads all metrics that a run has written.

    A last line that a kill left unfinished is left out.

    Raises:
      InputError: The file is damaged; the message begins with its path.
    """
    path = paths.metrics(workdir)
    try:
        lines = [json.loads(line) for line in _whole_lines(path)]
    except schema.DAMAGED as error:
        raise InputError(f"{path} cannot be read ({error}).") from error
    for number, line in enumerate(lines, 1):
        schema.check_line(f"{path}, line {number}", line)
    return lines


def _keep_until(path, step):
    """Drops the lines after `step` and a last line that a kill left unfinished."""
    lines = _whole_lines(path)
    if os.path.exists(path):
        with files.replacing(path) as file:
            file.writelines(line for line in lines if json.loads(line)["step"] <= step)


def _whole_lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [line for line in file if line.endswith("\n")]
