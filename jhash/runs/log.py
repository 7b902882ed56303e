"""The log of a training: `metrics.jsonl`, TensorBoard, and a check that all metrics are finite."""

import contextlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from jhash.errors import InputError, NonFiniteError
from jhash.runs import paths, schema
from jhash.runs.events import Events
from jhash.system import files, reading


class Log:
    """Appends to `metrics.jsonl` and to TensorBoard; a resumed run continues from its checkpoint.

    A line of `metrics.jsonl` is a JSON object with the metrics, `step` (the number of steps done)
    and `epoch` (the number of epochs completed before). There are no times in it, so that a run
    writes the same bytes whether it is interrupted or not.
    """

    def __init__(self, workdir: str, step: int, epoch: int | None = None):
        """Opens the files, and drops what was written after the checkpoint.

        Args:
          workdir: Folder of the run.
          step: Number of steps done at the checkpoint; 0 if there is none.
          epoch: Number of epochs done at the checkpoint. It matters only for a checkpoint after the
            last step of an epoch, but before the epoch's end, whose line has the same step.
        """
        self._path = paths.metrics(workdir)
        _keep_until(self._path, step, math.inf if epoch is None else epoch)
        self._file = open(self._path, "a", buffering=1)  # noqa: SIM115 - closed by close()
        self._events = Events(paths.tensorboard(workdir), step + 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Writes everything to disk and closes the files."""
        try:
            self.flush()
        finally:
            # What could not be written is tried once more here, and fails again.
            with contextlib.suppress(OSError):
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
        with files.naming(self._path):
            self._file.write(json.dumps({"step": step, "epoch": epoch, **values}) + "\n")
        self.write_events(step, values)

    def write_events(self, step: int, values: dict[str, float]) -> None:
        """Writes values to TensorBoard only; meant for times and rates."""
        self._events.write(step, values)

    def flush(self) -> None:
        """Writes everything so far to disk."""
        with files.naming(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())
        self._events.flush()


def last_line(workdir: str) -> dict:
    """Reads the last metrics that a run has written; empty before the first.

    Raises:
      InputError: The file is damaged; the message begins with its path.
    """
    path = paths.metrics(workdir)
    lines = _whole_lines(path)
    return _parse(path, len(lines), lines[-1]) if lines else {}


def read_lines(workdir: str) -> list[dict]:
    """Reads all metrics that a run has written.

    The last line is left out if a kill left it unfinished.

    Raises:
      InputError: The file is damaged; the message begins with its path.
    """
    path = paths.metrics(workdir)
    return [_parse(path, number, line) for number, line in enumerate(_whole_lines(path), 1)]


def _keep_until(path, step, epoch):
    """Drops the lines after a checkpoint, and the last line if a kill left it unfinished."""
    if os.path.exists(path):
        kept = []
        for number, line in enumerate(_whole_lines(path), 1):
            content = _parse(path, number, line)
            if content["step"] <= step and content["epoch"] <= epoch:
                kept.append(line)
        with files.replacing(path, "wb") as file:
            file.writelines(kept)


def _whole_lines(path):
    if not os.path.exists(path):
        return []
    try:
        with reading.open_regular(path) as file:
            return [line for line in file if line.endswith(b"\n")]
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read: {error.strerror}.") from error


def _parse(path, number, line):
    place = f"{path}, line {number}"
    try:
        parsed = reading.parse_json(line)
    except ValueError as error:
        raise InputError(f"{place}: the file is damaged; it is not JSON: {error}.") from error
    schema.check_line(place, parsed)
    return parsed
