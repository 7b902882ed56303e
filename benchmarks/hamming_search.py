"""Times exact Hamming top-k of an index against faiss's IndexBinaryFlat, in turns.

    python benchmarks/hamming_search.py [--run=RUN] [--quick] [--numpy] [--json]

faiss runs in a process of its own, with as many threads as there are CPUs. The ratio is to the
faster of its two modes, heap and counting. Building either index is not timed. The sides take turns
of a burst of calls each, because small searches are faster in bursts than after a pause, on both
sides. Every row is checked: the distances must equal faiss's, results must be sorted by (distance,
index), and the indices must have these distances; those of one query must equal a NumPy argsort's.

The index is timed as it is after many searches: what it makes and compiles when that has paid is
there. The column `way` says how it searched. `scan` is on the host, compiled by Numba if that is
installed; --numpy leaves that out. `device` is the plain scan by XLA alone, `search.hamming`.
With --run, the codes of a run are searched as well. The limit is a loop that only XORs, counts bits
and adds them up.
"""

import argparse
import multiprocessing
import tempfile
import time

import numpy as np
from output import Output, add_switch
from peers import faiss_search

SMALL = (1, 2, 8, 32, 1000)
CELLS = (
    *(("random", 60_000, bits, SMALL) for bits in (16, 32, 48, 64, 256, 512)),
    ("random", 1_000_000, 64, SMALL),
    ("random", 1_000_000, 128, SMALL),
    ("random", 10_000_000, 64, (1, 2, 8, 32, 100)),
)
COLUMNS = (
    "codes",
    "N",
    "bits",
    "Q",
    "k",
    "faiss heap",
    "faiss counting",
    "jhash",
    "way",
    "device",
    "ratio",
    "G pairs/s",
)
# Seconds of work of a burst, and calls of one at most.
BURST = 0.01
MAX_CALLS = 50


def random_codes(rng, n, bits):
    codes = np.zeros((n, -(-bits // 32)), np.uint32)
    codes.view(np.uint8)[:, : bits // 8] = rng.integers(0, 256, (n, bits // 8), dtype=np.uint8)
    return codes


def check(database, queries, distances, indices, expected):
    np.testing.assert_array_equal(distances, expected)
    recomputed = np.bitwise_count(database[indices] ^ queries[:, None]).sum(axis=2)
    np.testing.assert_array_equal(recomputed, distances)
    key = distances.astype(np.int64) << 32 | indices
    assert (np.diff(key, axis=1) > 0).all(), "not ordered by (distance, index)"
    exact = np.bitwise_count(database ^ queries[0]).sum(axis=1)
    order = np.argsort(exact, kind="stable")[: distances.shape[1]]
    np.testing.assert_array_equal(indices[0], order)


def measure(name, database, queries, bits, counts, options, output):
    import jax

    from jhash.retrieval import HammingIndex
    from jhash.retrieval.index.searcher import Searcher
    from jhash.retrieval.search import hamming, layout

    ways = []

    def choose(self, found, usual=Searcher._choose):
        way = usual(self, found)
        ways.append(way.name)
        return way

    def on_device(queries, k):
        return jax.block_until_ready(hamming.search(prepared, queries, k))

    index = HammingIndex.build(database, bits)
    prepared = jax.block_until_ready(layout.prepare(database))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, database)
        peer = context.Process(
            target=faiss_search.serve, args=(theirs, file.name, bits), daemon=True
        )
        peer.start()
        for count in counts:
            batch = queries[:count]
            batch_bytes = batch.view(np.uint8)[:, : -(-bits // 8)].copy()
            for k in (k for k in options.ks if k <= len(database)):
                index.optimize(k)
                Searcher._choose, usual = choose, Searcher._choose
                results = index.search(batch, k)
                Searcher._choose = usual
                began = time.perf_counter()
                index.search(batch, k)
                seconds = time.perf_counter() - began
                calls = max(1, min(MAX_CALLS, int(BURST / seconds)))
                times = {"heap": [], "count": [], "jhash": [], "device": []}
                for turn in range(options.rounds + 1):
                    for mode in ("heap", "count"):
                        ours.send((mode == "heap", batch_bytes, k, calls, turn == 0))
                        seconds, expected = ours.recv()
                        times[mode].append(seconds)
                        if turn == 0:
                            check(database, batch, *results, expected)
                    time.sleep(0.02)  # The peer's threads stop spinning.
                    times["jhash"].append(faiss_search.burst(calls, index.search, batch, k))
                    times["device"].append(faiss_search.burst(calls, on_device, batch, k))
                    time.sleep(0.02)
                # The first turn warms up.
                median = {key: float(np.median(value[1:])) for key, value in times.items()}
                ratio = min(median["heap"], median["count"]) / median["jhash"]
                rate = len(database) * count / median["jhash"] / 1e9
                output.row(
                    "searches",
                    f"| {name} | {len(database):,} | {bits} | {count} | {k} "
                    f"| {1e3 * median['heap']:.3f} | {1e3 * median['count']:.3f} "
                    f"| {1e3 * median['jhash']:.3f} | {ways[-1]} | {1e3 * median['device']:.3f} "
                    f"| {ratio:.1f}x | {rate:.1f} |",
                    codes=name,
                    database=len(database),
                    bits=bits,
                    queries=count,
                    k=k,
                    faiss_heap_seconds=median["heap"],
                    faiss_counting_seconds=median["count"],
                    jhash_seconds=median["jhash"],
                    way=ways[-1],
                    device_seconds=median["device"],
                    ratio=ratio,
                    giga_pairs_per_second=rate,
                )
        ours.send(None)
        peer.join()


def popcount_limit():
    """Measures a loop that only computes distances of 64 bits and adds them up, in 10^9 pairs/s."""
    import jax
    from gpu_parts import popcounts

    rows, queries = 1 << 20, 128
    arguments = popcounts.codes(rows, queries)
    run = jax.jit(popcounts.add_up, compiler_options={"xla_cpu_prefer_vector_width": 512})
    times = []
    for _ in range(50):
        began = time.perf_counter()
        jax.block_until_ready(run(*arguments))
        times.append(time.perf_counter() - began)
    return rows * queries / np.median(times) / 1e9


def settle(numpy_only):
    """Makes indexes search as after many searches, when all that pays is compiled."""
    from jhash.retrieval.index import costs
    from jhash.retrieval.search import host

    costs.COMPILATION = 0
    host._PATIENCE = np.inf if numpy_only else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", help="a run's folder, whose codes are searched as well")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--ks", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--quick", action="store_true", help="leave the 10 million out")
    parser.add_argument("--numpy", action="store_true", help="compile nothing by Numba")
    parser.add_argument("--n", type=int, help="one database of so many codes of 64 bits alone")
    add_switch(parser)
    options = parser.parse_args()
    cells = [("random", options.n, 64, (1, 100))] if options.n else CELLS
    settle(options.numpy)
    rng = np.random.default_rng(0)
    with Output(options.json) as output:
        limit = popcount_limit()
        output.line(
            f"XOR, popcount and addition alone, 64 bits: {limit:.1f} G pairs/s\n",
            limit_giga_pairs_per_second=limit,
        )
        output.line("Medians, in milliseconds per call; G pairs/s are jhash's.\n")
        output.line(f"| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|")
        for name, n, bits, counts in cells:
            if options.quick and n > 1_000_000:
                continue
            database = random_codes(rng, n, bits)
            queries = random_codes(rng, max(counts), bits)
            measure(name, database, queries, bits, counts, options, output)
        if options.run:
            # Here and not above, so that the process of faiss imports no JAX.
            from jhash.runs import code_files, paths

            database = code_files.read(paths.codes(options.run, "encoded"))
            queries = code_files.read(paths.codes(options.run, "queries")).codes
            queries = np.ascontiguousarray(queries[:1000])
            counts = (1, len(queries))
            measure("of a run", database.codes, queries, database.bits, counts, options, output)


if __name__ == "__main__":
    main()
