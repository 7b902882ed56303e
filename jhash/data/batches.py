"""Batches of one size, cut from an order of samples and read while the devices work."""

import concurrent.futures
import contextlib
from collections.abc import Iterator

import numpy as np

from jhash.data import workers as worker_processes


def batch_indices(indices: np.ndarray, size: int) -> np.ndarray:
    """Cuts an order of samples into batches of one size.

    Args:
      indices: int [N], N >= 1, in the order of training.
      size: Number of samples per batch.

    Returns:
      int [ceil(N / size), size]. The last batch is filled up from the start of the order, so that
      no sample is dropped.
    """
    count = -(-len(indices) // size)
    return np.resize(indices, (count, size))


def prefetch(source, batches, ahead: int = 2, workers: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """Reads batches of images and labels in advance.

    The batches are the same for any number of processes.

    Args:
      source: A `jhash.data.Source`.
      batches: Iterable of int arrays, the indices of each batch.
      ahead: Number of batches that one thread reads in advance.
      workers: Number of processes that decode images; 0: this one does.

    Yields:
      {"images": uint8 [B, H, W, channels], "labels": [B] or [B, C], "index": int32 [B]}.
    """
    with contextlib.ExitStack() as stack:
        read = source.images
        if workers:
            batches = list(batches)
            read = stack.enter_context(worker_processes.Images(source, batches, workers)).read

        def load(indices):
            return {
                "images": read(indices),
                "labels": source.labels[indices],
                "index": np.asarray(indices, np.int32),
            }

        # The thread ends before the processes do.
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(1))
        pending = []
        for indices in batches:
            pending.append(pool.submit(load, indices))
            if len(pending) > ahead:
                yield pending.pop(0).result()
        for future in pending:
            yield future.result()
