"""Times exact Hamming top-k against faiss's IndexBinaryFlat, in turns.

    python benchmarks/hamming_search.py [--run=RUN] [--quick]

faiss has a process of its own, with as many threads as there are CPUs, and the better of its two
modes (heap and counting) counts. Building either index is not timed. The sides take turns of a
burst of calls each: single queries are faster in bursts than after a pause, on both sides. Every
cell is checked: the distances must equal faiss's, the order by (distance, index) must hold, and
the indices must have these distances, for one query those of a NumPy argsort. With --run, a run's
own codes are searched as well. The limit is a loop that only XORs, counts bits and adds them up.
"""

import argparse
import multiprocessing
import os
import tempfile
import time

import numpy as np

CELLS = (
    ("random", 60_000, 48, (1, 1000)),
    ("random", 1_000_000, 64, (1, 1000)),
    ("random", 1_000_000, 128, (1, 1000)),
    ("random", 10_000_000, 64, (1, 100)),
)
KS = (10, 100, 1000)


def faiss_process(pipe, database, bits):
    """Answers (mode, queries, k, calls, check) with times, and the distances if asked to check."""
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
    """Seconds of each call."""
    times = [time.perf_counter()]
    for _ in range(calls):
        function(*args)
        times.append(time.perf_counter())
    return np.diff(times)


def random_codes(rng, n, bits):
    codes = np.zeros((n, -(-bits // 32)), np.uint32)
    codes.view(np.uint8)[:, : bits // 8] = rng.integers(0, 256, (n, bits // 8), dtype=np.uint8)
    return codes


def check(database, queries, distances, indices, expected):
    np.testing.assert_array_equal(distances, expected)
    found = np.bitwise_count(database[indices] ^ queries[:, None]).sum(axis=2)
    np.testing.assert_array_equal(found, distances)
    key = distances.astype(np.int64) << 32 | indices
    assert (np.diff(key, axis=1) > 0).all(), "not ordered by (distance, index)"
    exact = np.bitwise_count(database ^ queries[0]).sum(axis=1)
    order = np.argsort(exact, kind="stable")[: distances.shape[1]]
    np.testing.assert_array_equal(indices[0], order)


def measure(name, database, queries, bits, counts, rounds):
    import jax

    from jhash.retrieval.search import hamming, layout

    def search(queries, k):
        return jax.block_until_ready(hamming.search(prepared, queries, k))

    prepared = jax.block_until_ready(layout.prepare(database))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, database)
        peer = context.Process(target=faiss_process, args=(theirs, file.name, bits), daemon=True)
        peer.start()
        for count in counts:
            asked = queries[:count]
            asked_bytes = asked.view(np.uint8)[:, : -(-bits // 8)].copy()
            for k in KS:
                began = time.perf_counter()
                found = jax.device_get(search(asked, k))
                first = time.perf_counter() - began
                times = {"heap": [], "count": [], "jhash": []}
                calls = 50 if count == 1 else 1
                for turn in range(rounds + 1):
                    for mode in ("heap", "count"):
                        ours.send((mode == "heap", asked_bytes, k, calls, turn == 0))
                        seconds, expected = ours.recv()
                        times[mode].append(seconds)
                        if turn == 0:
                            check(database, asked, *found, expected)
                    time.sleep(0.02)  # The peer's threads stop spinning.
                    times["jhash"].append(burst(calls, search, asked, k))
                    time.sleep(0.02)
                # The first turn warms up.
                median = {key: float(np.median(value[1:])) for key, value in times.items()}
                best = min(median["heap"], median["count"])
                pairs = len(database) * count
                print(
                    f"| {name} | {len(database):,} | {bits} | {count} | {k} "
                    f"| {1e3 * median['heap']:.2f} | {1e3 * median['count']:.2f} "
                    f"| {1e3 * median['jhash']:.2f} | {best / median['jhash']:.1f}x "
                    f"| {pairs / median['jhash'] / 1e9:.1f} | {first:.1f} |",
                    flush=True,
                )
        ours.send(None)
        peer.join()


def popcount_limit():
    """Giga pairs a second at 64 bits of a loop that only computes distances and adds them up."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    rows, queries = 1 << 20, 128
    rng = np.random.default_rng(0)
    codes = jnp.asarray(rng.integers(0, 1 << 32, (rows // 64, 64, 2), dtype=np.uint32))
    q = jnp.asarray(rng.integers(0, 1 << 32, (queries, 2), dtype=np.uint32))

    def loop(codes, q):
        total = 0
        for member in range(64):
            for word in range(2):
                total += lax.population_count(codes[:, member, word, None] ^ q[:, word])
        return total

    run = jax.jit(loop, compiler_options={"xla_cpu_prefer_vector_width": 512})
    times = []
    for _ in range(50):
        began = time.perf_counter()
        jax.block_until_ready(run(codes, q))
        times.append(time.perf_counter() - began)
    return rows * queries / np.median(times) / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", help="a run's folder, whose codes are searched as well")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="leave the 10 million out")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"XOR, popcount and addition alone, 64 bits: {popcount_limit():.1f} G pairs/s\n")
    print("Milliseconds a call, medians; G pairs/s and the first call's seconds are jhash's.\n")
    columns = "codes, N, bits, Q, k, faiss heap, faiss counting, jhash, ratio, G pairs/s, first"
    print("| " + columns.replace(", ", " | ") + " |\n" + "| --- " * 11 + "|")
    for name, n, bits, counts in CELLS:
        if options.quick and n > 1_000_000:
            continue
        database, queries = random_codes(rng, n, bits), random_codes(rng, max(counts), bits)
        measure(name, database, queries, bits, counts, options.rounds)
    if options.run:
        folder = os.path.join(options.run, "codes")
        found, asked = (np.load(f"{folder}/{part}.npz") for part in ("database", "queries"))
        queries = np.ascontiguousarray(asked["codes"][:1000])
        bits = int(found["bits"])
        measure("of a run", found["codes"], queries, bits, (1, 1000), options.rounds)


if __name__ == "__main__":
    main()
