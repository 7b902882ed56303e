"""A process of its own with faiss's binary indexes: the peer of `near_search.py`."""

import os
import time

import numpy as np

_TRAINED = 200_000  # Codes with which an IVF index is trained.


def serve(pipe, database, bits):
    """Answers requests until one is None.

    A request is (engine, queries' bytes, k or None, radius). The answer is the seconds of each
    query, and for each query its distances and positions; None if the engine cannot do it. An
    engine is made when it is first asked for, in the place of the one before.

    Args:
      pipe: The end of a pipe.
      database: An .npy file of packed codes.
      bits: Code length, a multiple of 8.
    """
    import faiss

    faiss.omp_set_num_threads(len(os.sched_getaffinity(0)))
    codes = np.load(database, mmap_mode="r").view(np.uint8)[:, : bits // 8].copy()
    name, engine = None, None
    while (message := pipe.recv()) is not None:
        wanted, queries, k, radius = message
        if wanted != name:
            engine = None
            name, engine = wanted, _make(faiss, wanted, codes, bits)
        if hasattr(engine, "nflip"):
            # With all codes within the radius of the hashed bits, searches by radius are exact.
            engine.nflip = 0 if wanted == "MultiHash" else min(radius, 2)
        seconds, found = [], []
        for query in queries:
            began = time.perf_counter()
            if k is None:
                _, distances, positions = engine.range_search(query[None], radius + 1)
            else:
                distances, positions = (array[0] for array in engine.search(query[None], k))
            seconds.append(time.perf_counter() - began)
            found.append((distances, positions))
        pipe.send((seconds, found))


def _make(faiss, name, codes, bits):
    if name == "Flat":
        index = faiss.IndexBinaryFlat(bits)
    elif name == "Hash":
        index = faiss.IndexBinaryHash(bits, 24)
    elif name == "MultiHash":
        index = faiss.IndexBinaryMultiHash(bits, bits // 16, 16)
    elif name == "IVF":
        lists = max(1, min(4096, len(codes) // 40))
        index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(bits), bits, lists)
        index.nprobe = 32
        index.train(codes[:: max(1, len(codes) // _TRAINED)].copy())
    else:
        index = faiss.IndexBinaryHNSW(bits, 16)
        index.hnsw.efSearch = 64
    index.add(codes)
    return index
