"""Worker processes that decode images, by Grain (https://github.com/google/grain).

Grain gives the batches in their order, whatever the number of processes. A process gets a copy of
the source, and ends with the process that started it, also if that is killed. Images that a source
keeps in memory are kept by the process that trains alone, and what it has is not decoded again.
"""

import os
import signal
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from jhash.data import usable
from jhash.data.sources import ArraySource
from jhash.errors import InputError

_LOOK_SECONDS = 1.0  # Between two looks whether the process that trains is still there.
_ENDED = "terminated unexpectedly"  # In Grain's error about a process.


def check(source, workers: int) -> None:
    """Checks that processes can decode the images of a source.

    Args:
      source: A `jhash.data.Source`.
      workers: Number of processes.

    Raises:
      InputError: Grain is not installed, or the images are in memory.
    """
    if not workers:
        return
    if isinstance(usable.unwrapped(source), ArraySource):
        raise InputError(
            f"workers: {workers} given; allowed: 0, as the images of this source are in memory, "
            "where nothing is decoded."
        )
    _grain(workers)


class Images:
    """Images of batches, in their order, decoded by worker processes.

    It is a context manager, at whose end the processes end.

    Args:
      source: A `jhash.data.Source`, which can be pickled.
      batches: int arrays, the indices of each batch.
      workers: Number of processes, at least one. They are started only if an image is missing.
    """

    def __init__(self, source, batches: Sequence[np.ndarray], workers: int):
        """See the class."""
        source = usable.unwrapped(source)
        self._kept = getattr(source, "kept", None)
        find = np.unique if self._kept is None else self._kept.missing
        self._missing = [find(np.asarray(batch, np.int64)) for batch in batches]
        # The iterator over what the processes decode has an element for each of these batches.
        decoded = [indices for indices in self._missing if len(indices)]
        self._elements = _start(source, decoded, workers) if decoded else None
        self._number = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._elements is not None:
            self._elements.close()

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Returns the images of the next batch, uint8 [B, H, W, channels].

        Args:
          indices: The indices of that batch, int [B].

        Raises:
          InputError: An image cannot be read, or a process has ended.
        """
        missing = self._missing[self._number]
        self._number += 1
        decoded = self._next() if len(missing) else None

        def decode(wanted):
            # Some may have been kept since the processes were started, by an earlier batch.
            return decoded[np.searchsorted(missing, wanted)]

        return decode(indices) if self._kept is None else self._kept.read_with(indices, decode)

    def _next(self):
        try:
            images, error = next(self._elements)
        except RuntimeError as error:
            if _ENDED not in str(error):  # The source itself has raised it.
                raise
            raise InputError(
                "config.data.workers: a worker process has ended while it decoded images; allowed: "
                f"fewer, if memory is short ({str(error).splitlines()[0]})."
            ) from error
        if error is not None:
            raise InputError(error)
        return images


def _start(source, batches, workers) -> Any:
    """Starts processes; returns the iterator over what they decode."""
    grain = _grain(workers)
    if not flags.FLAGS.is_parsed():  # Grain looks at flags of its own; notebooks parse none.
        flags.FLAGS.mark_as_parsed()
    return iter(
        grain.MapDataset.source(batches)
        .map(_Decode(source))
        # A process reads one batch at a time: the threads of `decoding` share the work.
        .to_iter_dataset(grain.ReadOptions(num_threads=0, prefetch_buffer_size=0))
        .mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=1),
            worker_init_fn=_Begin(os.getpid()),
        )
    )


class _Decode:
    """Decodes the images of a batch: (images, None), or (None, error) if one cannot be read."""

    def __init__(self, source):
        self._source = source

    def __call__(self, indices):
        try:
            return self._source.images(indices), None
        except InputError as error:  # Grain would lose its type.
            return None, str(error)


class _Begin:
    """Sets up a worker process."""

    def __init__(self, parent):
        self._parent = parent

    def __call__(self, worker, workers):
        del worker, workers
        # These reach all processes of a terminal or a job. The one that trains finishes its step,
        # and then ends the others.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while os.getppid() == self._parent:
            time.sleep(_LOOK_SECONDS)
        os._exit(1)


def _grain(workers):
    try:
        import grain
    except ImportError as error:
        raise InputError(
            f"workers: {workers} given; allowed: 0, or an installation of grain by "
            "pip install 'jhash[grain]', or in a checkout pip install -e '.[grain]'."
        ) from error
    return grain
