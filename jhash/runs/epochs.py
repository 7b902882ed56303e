"""The frame of every training: epochs with checkpoints, a log and a bar, resumed after a kill.

Checkpoints are numbered by the epochs that are done. If a signal stops the training within an
epoch, there is one more, in a folder of its own and numbered by the steps that are done. It counts
until there is a checkpoint of the end of that epoch.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import tqdm

from jhash import parallel
from jhash.runs import paths
from jhash.runs.checkpoints import Checkpoints, numbers
from jhash.runs.log import Log
from jhash.system import interrupts


class Epochs:
    """The remaining epochs of a training.

    Use it in a `with` block, whose end waits for the last checkpoint:

        with Epochs(folder, total=10, steps=100, keep=2) as epochs:
            tree = epochs.restore(first)
            for epoch in epochs:
                for step in range(epochs.steps_done(epoch), 100):
                    ...
                    if interrupts.requested():
                        epochs.stop(epoch, step + 1, tree)
                epochs.save(epoch + 1, tree)
                interrupts.stop_if_requested()

    `interrupts.at_once` around that block does not hold in it.

    Attributes:
      done: Number of epochs done at the newest checkpoint; 0 if there is none.
      within: Number of steps done in the epoch that a signal has cut short; 0 if there is none.
      begun: Whether there is a checkpoint.
      log: The `Log` of the folder, without the lines after the newest checkpoint.
      bar: The progress bar; it exists while the epochs are iterated over.
    """

    def __init__(self, folder: str, *, total: int, steps: int, keep: int, **bar: Any):
        """Describes the training; nothing is opened yet.

        Args:
          folder: Folder of checkpoints, log and TensorBoard events; made if need be.
          total: Number of epochs of the whole training.
          steps: Number of steps per epoch.
          keep: Number of newest checkpoints that are kept.
          **bar: Arguments of tqdm, and `scale` (by default 1), the length of an epoch on the bar.
        """
        self._folder = folder
        self._total = total
        self._steps = steps
        self._keep = keep
        self._scale = bar.pop("scale", 1)
        self._bar = bar

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(interrupts.not_at_once())
            # Last of all, when the last checkpoint is whole.
            stack.callback(_remove_outdated, self._folder, self._steps)
            os.makedirs(self._folder, exist_ok=True)
            self._checkpoints = stack.enter_context(
                Checkpoints(paths.checkpoints(self._folder), self._keep)
            )
            newest = self._checkpoints.newest
            _remove_outdated(self._folder, self._steps)
            cut = max(numbers(paths.interrupted(self._folder)), default=0)
            cut = int(parallel.from_main(np.asarray(cut)))
            self.done = _epochs_before(cut, self._steps) if cut else newest or 0
            self.within = cut - self.done * self._steps if cut else 0
            self.begun = bool(cut) or newest is not None
            self.log = stack.enter_context(
                Log(self._folder, self.done * self._steps + self.within, self.done)
            )
            self.bar = None
            stack.callback(self._close_bar)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind, error, traceback):
        try:
            return self._stack.__exit__(kind, error, traceback)
        except Exception:
            # An error within the block is the first one, and says more.
            if not isinstance(error, Exception):
                raise
            return False

    def __iter__(self) -> Iterator[int]:
        """Yields the numbers of the remaining epochs; the first of a training is 0."""
        with tqdm.tqdm(
            total=self._total * self._scale,
            initial=self.done * self._scale + self.within * self._scale // self._steps,
            # A terminal shows a moving bar; a file gets a line only now and then.
            mininterval=0.5 if sys.stderr.isatty() else 10,
            **(self._bar if parallel.is_main() else {**self._bar, "disable": True}),
        ) as self.bar:
            yield from range(self.done, self._total)

    def restore(self, fresh: Any) -> Any:
        """Restores the newest checkpoint; returns `fresh` if there is none. See `Checkpoints`.

        If `within` is not 0, the newest checkpoint is what `stop` has saved.
        """
        if not self.within:
            return self._checkpoints.restore(fresh)
        with Checkpoints(paths.interrupted(self._folder)) as checkpoints:
            return checkpoints.restore(fresh)

    def steps_done(self, epoch: int) -> int:
        """Returns the number of steps of an epoch that were done before a signal cut it short."""
        return self.within if epoch == self.done else 0

    def save(self, epochs: int, tree: Any) -> None:
        """Saves a checkpoint, from which another process can continue.

        Args:
          epochs: Number of epochs done.
          tree: Pytree of arrays.
        """
        self.log.flush()
        self._checkpoints.save(epochs, tree)

    def stop(self, epoch: int, steps: int, tree: Any) -> None:
        """Saves a checkpoint within an epoch, from which another process can continue, and stops.

        Args:
          epoch: Number of epochs done.
          steps: Number of steps done in this epoch, 1 or more. If all are done, the log has no line
            about the epoch's end yet.
          tree: Pytree of arrays.

        Raises:
          Interrupted: Always.
        """
        number = epoch * self._steps + steps
        folder = paths.interrupted(self._folder)
        # A signal may come again before any further step.
        if number not in numbers(folder):
            self.log.flush()
            with Checkpoints(folder, keep=1) as checkpoints:
                checkpoints.save(number, tree)
        raise interrupts.Interrupted

    def _close_bar(self):
        if self.bar is not None:
            self.bar.close()


def kept(folder: str, steps: int) -> str | None:
    """Says what a training has saved, for a line about why it stopped.

    Args:
      folder: Folder of the training.
      steps: Number of steps per epoch.

    Returns:
      Such as "the checkpoint after epoch 3"; None if there is no checkpoint.
    """
    cut = numbers(paths.interrupted(folder))
    newest = numbers(paths.checkpoints(folder))
    if cut and not _is_outdated(cut[-1], newest, steps):
        return f"the checkpoint after step {cut[-1]}, in epoch {_epochs_before(cut[-1], steps) + 1}"
    # Number 0 is what precedes the first epoch.
    return f"the checkpoint after epoch {newest[-1]}" if newest else None


def _epochs_before(number, steps):
    """Returns the epochs done before the one in which a number of steps, 1 or more, was reached."""
    return (number - 1) // steps


def _is_outdated(number, newest, steps):
    return bool(newest) and _epochs_before(number, steps) < newest[-1]


def _remove_outdated(folder, steps):
    """Removes the checkpoint within an epoch if the end of that epoch has one."""
    cut = numbers(paths.interrupted(folder))
    if not cut or _is_outdated(cut[-1], numbers(paths.checkpoints(folder)), steps):
        shutil.rmtree(paths.interrupted(folder), ignore_errors=True)
