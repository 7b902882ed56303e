"""The top-k search on the device: its rate, its memory, the order of ties.

The bounds: a search reads every code once for all queries of a tile at least (`memory bound`, by
the measured rate of copying; what any flat search such as faiss-gpu's has), and counts the bits of
every pair (`count bound`, by the measured loop of XOR, popcount and addition alone).
"""

import jax
import numpy as np

from gpu_parts import device, timing
from jhash import retrieval
from jhash.retrieval.search import hamming, layout, tiles

BITS = 64
# Sizes of databases, numbers of queries, and numbers of results.
CELLS = (
    *((1_000_000, queries, 10) for queries in (1, 100, 1000)),
    (1_000_000, 1000, 100),
    *((10_000_000, queries, 10) for queries in (1, 100, 1000)),
    *((100_000_000, queries, 10) for queries in (1, 100)),
)
QUICK = ((2000, 20, 10),)


def rows(quick):
    """Yields the order of ties, then a row per cell."""
    yield {"table": "ties", **(ties(3000, (10,)) if quick else ties(300_000, (1, 10, 1000)))}
    copied = device.copy_rate(1 << 20 if quick else device.COPIED)
    counted = device.popcount_rate(1 << 10 if quick else device.ROWS)
    rng = np.random.default_rng(0)
    prepared, size = None, 0
    for n, count, k in QUICK if quick else CELLS:
        if n != size:
            prepared = None  # Its memory is free before the next one is made.
            codes = rng.integers(0, 1 << 32, (n, BITS // 32), dtype=np.uint32)
            prepared, size = jax.block_until_ready(layout.prepare(codes)), n
        queries = rng.integers(0, 1 << 32, (count, BITS // 32), dtype=np.uint32)
        yield {"table": "search", **cell(prepared, codes, queries, k, copied, counted, quick)}


def cell(prepared, codes, queries, k, copied, counted, quick):
    """Measures one search, and checks some of its results."""
    n, count = len(codes), len(queries)
    found = jax.block_until_ready(hamming.search(prepared, queries, k))
    check(codes, queries[:3], *(np.asarray(array)[:3] for array in found))

    def call():
        nonlocal found
        found = hamming.search(prepared, queries, k)

    turn = 0.01 if quick else 0.5
    seconds = timing.seconds([(call, lambda: jax.block_until_ready(found))], turn)[0]
    tile = tiles.search_tile_size(prepared, k, count)
    reads = -(-count // tile)
    memory = jax.local_devices()[0].memory_stats() or {}
    return {
        "codes": n,
        "queries": count,
        "k": k,
        "milliseconds": round(1e3 * seconds, 3),
        "giga_pairs_per_s": round(n * count / seconds / 1e9, 2),
        "memory_bound_ms": round(1e3 * n * (BITS // 8) / copied, 4),
        "memory_bound_of_tiles_ms": round(1e3 * reads * n * (BITS // 8) / copied, 4),
        "count_bound_ms": round(1e3 * n * count / counted, 4),
        "temporary_mib": round(temporary(prepared, tile, k) / 2**20, 1),
        "peak_mib": round(memory.get("peak_bytes_in_use", 0) / 2**20),
        "faiss_cpu_ms": faiss_milliseconds(codes, queries, k) if n <= 1_000_000 else "",
    }


def temporary(prepared, tile, k):
    """Returns the bytes that the search of a tile needs beside its arguments and results."""
    queries = jax.ShapeDtypeStruct((tile, prepared.rows.shape[1]), np.uint32)
    search = jax.jit(hamming._search, static_argnames="k")
    return search.lower(prepared, queries, k=k).compile().memory_analysis().temp_size_in_bytes


def check(codes, queries, distances, indices):
    """Checks results against a stable sort of all distances."""
    for query, found, positions in zip(queries, distances, indices, strict=True):
        exact = np.bitwise_count(codes ^ query).sum(axis=1)
        expected = np.argsort(exact, kind="stable")[: len(found)]
        np.testing.assert_array_equal(positions, expected)
        np.testing.assert_array_equal(found, exact[expected])


def ties(n, ks):
    """Searches codes of which most are equal, and compares the order with a stable sort."""
    rng = np.random.default_rng(1)
    few = rng.integers(0, 1 << 32, (50, 2), dtype=np.uint32)
    codes = few[rng.integers(0, len(few), n)]
    queries = np.concatenate([few[:2], rng.integers(0, 1 << 32, (2, 2), dtype=np.uint32)])
    for k in ks:
        for count in (1, len(queries)):
            found = retrieval.hamming_topk(queries[:count], codes, k)
            check(codes, queries[:count], *map(np.asarray, found))
    return {"codes": n, "distinct": len(few), "order": "by (distance, index)"}


def faiss_milliseconds(codes, queries, k):
    """Times faiss's flat index on the CPU, and on the GPU where faiss has it."""
    try:
        import faiss
    except ImportError:
        return "not installed"
    index = faiss.IndexBinaryFlat(BITS)
    index.add(codes.view(np.uint8))
    queries = queries.view(np.uint8)
    call = lambda: index.search(queries, k)  # noqa: E731
    call()
    return round(1e3 * timing.seconds([(call, lambda: None)], turn=0.2)[0], 3)
