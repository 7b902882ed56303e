"""A process of its own with faiss's IndexBinaryFlat: the peer of `hamming_search.py`."""

import os
import time

import numpy as np


def serve(pipe, database, bits):
    """Answers requests until one is None.

    A request is (heap, queries, k, calls, check): the mode, the queries' bytes, the number of
    results, the number of timed calls, and whether distances are wanted. The answer is the seconds
    of each call, and the distances or None.

    Args:
      pipe: The end of a pipe.
      database: An .npy file of packed codes.
      bits: Code length.
    """
    import faiss

    faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
    index = faiss.IndexBinaryFlat(-(-bits // 8) * 8)
    index.add(np.load(database, mmap_mode="r").view(np.uint8)[:, : -(-bits // 8)].copy())
    while (message := pipe.recv()) is not None:
        heap, queries, k, calls, check = message
        index.use_heap = heap
        distances = index.search(queries, k)[0] if check else None
        pipe.send((burst(calls, index.search, queries, k), distances))


def burst(calls, function, *args):
    """Returns the seconds of each of some calls, one after another."""
    times = [time.perf_counter()]
    for _ in range(calls):
        function(*args)
        times.append(time.perf_counter())
    return np.diff(times)
