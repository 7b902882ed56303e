"""The frame of every training: epochs with checkpoints, a log and a bar, resumed after a kill."""

import sys
from collections.abc import Iterator
from typing import Any

import tqdm

from jhash.runs import paths
from jhash.runs.checkpoints import Checkpoints
from jhash.runs.log import Log


class Epochs:
    """The remaining epochs of a training.

    Use it in a `with` block, whose end waits for the last checkpoint:

        with Epochs(folder, total=10, steps=100, keep=2) as epochs:
            tree = epochs.restore(first)
            for epoch in epochs:
                ...
                epochs.save(epoch + 1, tree)

    Attributes:
      done: Number of epochs done at the newest checkpoint; 0 if there is none.
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
        self._checkpoints = Checkpoints(paths.checkpoints(self._folder), self._keep)
        newest = self._checkpoints.newest
        self.begun = newest is not None
        self.done = newest or 0
        self.log = Log(self._folder, self.done * self._steps)
        return self

    def __exit__(self, *_):
        try:
            self.log.close()
        finally:
            self._checkpoints.close()

    def __iter__(self) -> Iterator[int]:
        """Yields the numbers of the remaining epochs; the first of a training is 0."""
        with tqdm.tqdm(
            total=self._total * self._scale,
            initial=self.done * self._scale,
            # A terminal shows a moving bar; a file gets a line only now and then.
            mininterval=0.5 if sys.stderr.isatty() else 10,
            **self._bar,
        ) as self.bar:
            yield from range(self.done, self._total)

    def restore(self, fresh: Any) -> Any:
        """Restores the newest checkpoint; returns `fresh` if there is none. See `Checkpoints`."""
        return self._checkpoints.restore(fresh)

    def save(self, epochs: int, tree: Any) -> None:
        """Saves a checkpoint, from which another process can continue.

        Args:
          epochs: Number of epochs done.
          tree: Pytree of arrays.
        """
        self.log.flush()
        self._checkpoints.save(epochs, tree)
