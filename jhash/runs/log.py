"""The log of a training: `metrics.jsonl`, TensorBoard, and a check that all metrics are finite."""

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorboardX

from jhash.errors import InputError, NonFiniteError
from jhash.runs import paths, schema
from jhash.system import files


class Log:
    """Appends to `metrics.jsonl` and to TensorBoard; a resumed run continues from its checkpoint.

    A line of `metrics.jsonl` is a JSON object with the metrics, `step` (the number of steps done)
    and `epoch` (the number of epochs completed before). There are no times in it, so that a run
    writes the same bytes whether it is interrupted or not.
    """

    def __init__(self, workdir: str, step: int):
        """Opens the files, and drops what was written after the checkpoint.

        Args:
          workdir: Folder of the run.
          step: Number of steps done at the checkpoint; 0 if there is none.
        """
        self._path = paths.metrics(workdir)
        _keep_until(self._path, step)
        self._file = open(self._path, "a", buffering=1)  # noqa: SIM115 - closed by close()
        self._events = tensorboardX.SummaryWriter(paths.tensorboard(workdir), purge_step=step + 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Writes everything to disk and closes the files."""
        self.flush()
        self._file.close()
        self._events.close()

    def check(self, step: int, epoch: int, metrics: Mapping[str, Any]) -> None:
        """Checks metrics.

        Args:
          step: Number of steps done.
          epoch: Number of epochs completed before.
          metrics: Scalars by name.

        Raises:
          NonFiniteError: A metric is NaN or infinite; the message names step and metric.
          InputError: A metric is no scalar, or is called `step` or `epoch`.
        """
        for name, value in metrics.items():
            if np.ndim(value) or name in ("step", "epoch"):
                raise InputError(
                    f"metrics: {name!r} of shape {np.shape(value)} given; allowed: scalars with "
                    "other names than step and epoch."
                )
            if not math.isfinite(value):
                raise NonFiniteError(
                    f"step {step} (epoch {epoch}): {name} is {float(value)}. The run stops here, "
                    "and its last good checkpoint stays. A lower config.optimizer.learning_rate "
                    "may help."
                )

    def write(self, step: int, epoch: int, metrics: Mapping[str, Any]) -> None:
        """Checks metrics, as `check` does, and writes them as a line."""
        self.check(step, epoch, metrics)
        values = {name: float(value) for name, value in metrics.items()}
        self._file.write(json.dumps({"step": step, "epoch": epoch, **values}) + "\n")
        self.write_events(step, values)

    def write_events(self, step: int, values: dict[str, float]) -> None:
        """Writes values to TensorBoard only; meant for times and rates."""
        for name, value in values.items():
            self._events.add_scalar(name, value, step)

    def flush(self) -> None:
        """Writes everything so far to disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._events.flush()


def last_line(workdir: str) -> dict:
    """Reads the last metrics that a run has written; empty before the first."""
    lines = _whole_lines(paths.metrics(workdir))
    return json.loads(lines[-1]) if lines else {}


def read_lines(workdir: str) -> list[dict]:
    """Reads all metrics that a run has written.

    The last line is left out if a kill left it unfinished.

    Raises:
      InputError: The file is damaged; the message begins with its path.
    """
    path = paths.metrics(workdir)
    try:
        lines = [json.loads(line) for line in _whole_lines(path)]
    except schema.DAMAGED as error:
        raise InputError(f"{path}: the file cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        schema.check_line(f"{path}, line {number}", line)
    return lines


def _keep_until(path, step):
    """Drops the lines after `step`, and the last line if a kill left it unfinished."""
    lines = _whole_lines(path)
    if os.path.exists(path):
        with files.replacing(path) as file:
            file.writelines(line for line in lines if json.loads(line)["step"] <= step)


def _whole_lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [line for line in file if line.endswith("\n")]
