"""The frame of every training: epochs with checkpoints, a log and a bar, resumed after a kill."""

import sys
from collections.abc import Iterator

import tqdm

from jhash.runs import paths
from jhash.runs.checkpoints import Checkpoints
from jhash.runs.log import Log


class Epochs:
    """The epochs that are still to do.

    In a `with` block, whose end waits for the last checkpoint:

        with Epochs(folder, total=10, steps=100, keep=2) as epochs:
            tree = epochs.restore(first)
            for epoch in epochs:
                ...
                epochs.save(epoch + 1, tree)

    Attributes:
      done: Epochs done at the newest checkpoint.
      begun: Whether there is a checkpoint.
      log: The folder's `Log`; lines after the newest checkpoint are dropped.
      bar: The progress bar, while the epochs are iterated over.
    """

    def __init__(self, folder: str, *, total: int, steps: int, keep: int, **bar):
        """Describes the training; nothing is opened yet.

        Args:
          folder: Holds checkpoints, log and TensorBoard events; made if need be.
          total: Epochs.
          steps: Steps of an epoch.
          keep: Checkpoints that stay.
          **bar: Arguments of tqdm; `scale`, by default 1, is what an epoch adds to the bar.
        """
        self._folder, self._total, self._steps, self._keep = folder, total, steps, keep
        self._scale, self._bar = bar.pop("scale", 1), bar

    def __enter__(self):
        self._checkpoints = Checkpoints(paths.checkpoints(self._folder), self._keep)
        newest = self._checkpoints.newest
        self.begun, self.done = newest is not None, newest or 0
        self.log = Log(self._folder, self.done * self._steps)
        return self

    def __exit__(self, *_):
        try:
            self.log.close()
        finally:
            self._checkpoints.close()

    def __iter__(self) -> Iterator[int]:
        """Yields the numbers of the epochs to do, from 0."""
        with tqdm.tqdm(
            total=self._total * self._scale,
            initial=self.done * self._scale,
            # A log file gets a line now and then, a terminal a living bar.
            mininterval=0.5 if sys.stderr.isatty() else 10,
            **self._bar,
        ) as self.bar:
            yield from range(self.done, self._total)

    def restore(self, fresh):
        """The newest checkpoint, as NumPy arrays; `fresh` if there is none. See `Checkpoints`."""
        return self._checkpoints.restore(fresh)

    def save(self, epochs: int, tree) -> None:
        """Saves what a process needs that goes on after so many epochs."""
        self.log.flush()
        self._checkpoints.save(epochs, tree)
