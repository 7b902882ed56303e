"""Batches of one size from an order of samples, read ahead while the devices work."""

import concurrent.futures
from collections.abc import Iterator

import numpy as np


def batch_indices(indices: np.ndarray, size: int) -> np.ndarray:
    """Cuts an order of samples into batches of one size.

    Args:
      indices: int [N], N >= 1, in the order of training.
      size: Samples a batch.

    Returns:
      int [ceil(N / size), size]. What the last batch lacks is taken from the start of the order, so
      that every sample is seen and none is dropped.
    """
    count = -(-len(indices) // size)
    return np.resize(indices, (count, size))


def prefetch(source, batches, ahead: int = 2) -> Iterator[dict[str, np.ndarray]]:
    """Reads images and labels, up to `ahead` batches before they are asked for.

    Args:
      source: A `jhash.data.Source`.
      batches: Iterable of int arrays of indices.
      ahead: Batches read in advance, by one thread.

    Yields:
      {"images": uint8 [B, H, W, channels], "labels": [B] or [B, C], "index": int32 [B]}.
    """

    def load(indices):
        return {
            "images": source.images(indices),
            "labels": source.labels[indices],
            "index": np.asarray(indices, np.int32),
        }

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pending = []
        for indices in batches:
            pending.append(pool.submit(load, indices))
            if len(pending) > ahead:
                yield pending.pop(0).result()
        for future in pending:
            yield future.result()
