"""Times searches for near neighbors, one query at a time, beside faiss's indexes.

    python benchmarks/near_search.py [--n=10000000] [--bits 48 64 128] [--hnsw] [--json]
    python benchmarks/near_search.py --growth 1000000 10000000 100000000 [--plot=FILE]

Codes are random, or clustered: 1,000 random centers, of which each bit is flipped with a
probability of 3 %. Queries are made in the same way. `index` is a HammingIndex after `optimize`,
`device` the scan by XLA that an index without it makes, and the others are faiss's, in a process of
its own with as many threads as there are CPUs: IndexBinaryFlat, IndexBinaryHash of 24 bits,
IndexBinaryMultiHash of pieces of 16 bits, IndexBinaryIVF of 4,096 lists of which 32 are searched,
and with --hnsw IndexBinaryHNSW of 16 links, which takes many minutes to build. Times are medians
over the queries. Recall is the share of the results of a scan that are found; among equal
distances, any counts. Results of the index are compared with those of a scan, and must be equal.

--growth times the index alone, for databases of several sizes.
"""

import argparse
import functools
import multiprocessing
import tempfile
import time

import numpy as np
from output import Output, add_switch
from peers import faiss_near

CENTERS = 1000
FLIPPED = 0.03
QUERIES = 50
ENGINES = ("Flat", "Hash", "MultiHash", "IVF")
DEMANDS = (("radius 2", None, 2), ("k = 10", 10, None), ("k = 100", 100, None))


def make_codes(kind, n, bits, seed):
    """Random or clustered packed codes; the centers are the same for each seed."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(0).random((CENTERS, bits)) < 0.5
    codes = np.zeros((n, -(-bits // 32)), np.uint32)
    for start in range(0, n, 1 << 17):
        size = min(1 << 17, n - start)
        if kind == "random":
            on = rng.random((size, bits), np.float32) < 0.5
        else:
            flips = rng.random((size, bits), np.float32) < FLIPPED
            on = centers[rng.integers(0, CENTERS, size)] ^ flips
        packed = np.packbits(on, axis=1, bitorder="little")
        codes.view(np.uint8)[start : start + size, : bits // 8] = packed
    return codes


def time_each(function, queries):
    """Returns the median of the seconds per query, and the results."""
    function(queries[:1])
    seconds, found = [], []
    for row in range(len(queries)):
        began = time.perf_counter()
        found.append(function(queries[row : row + 1]))
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)), found


def of_index(index, k, radius):
    if k is None:
        return lambda query: index.search_radius(query, radius)[1:]
    return lambda query: tuple(array[0] for array in index.search(query, k))


def recall(found, exact):
    """Share of the exact results that were found, by distance."""
    counts = [
        np.isin(np.asarray(near), distances).sum() if len(distances) else 0
        for (near, _), (distances, _) in zip(found, exact, strict=True)
    ]
    total = sum(len(distances) for distances, _ in exact)
    return min(1.0, sum(counts) / total) if total else 1.0


def compare(kind, n, bits, options, output):
    from jhash.retrieval import HammingIndex
    from jhash.retrieval.search import host

    host._PATIENCE = np.inf if options.numpy else 0
    database = make_codes(kind, n, bits, 1)
    queries = make_codes(kind, QUERIES, bits, 2)
    index = HammingIndex.build(database, bits)
    began = time.perf_counter()
    index.optimize()
    made = time.perf_counter() - began
    exact = {}
    for name, k, radius in DEMANDS:
        seconds, found = time_each(of_index(index, k, radius), queries)
        exact[name] = found
        for (distances, ids), query in zip(found[:5], queries[:5], strict=True):
            every = host.find(query[None], database, k, bits if radius is None else radius)
            np.testing.assert_array_equal(ids, every.positions)
            np.testing.assert_array_equal(distances, every.distances)
        row(output, kind, n, bits, name, "index", seconds, 1.0)
    output.line(f"\n`optimize` took {made:.1f} s.\n")
    del index
    seconds = time_device(database, queries)
    row(output, kind, n, bits, "k = 10", "device", seconds, 1.0)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, database)
        del database
        peer = context.Process(target=faiss_near.serve, args=(theirs, file.name, bits), daemon=True)
        peer.start()
        data = queries.view(np.uint8)[:, : bits // 8].copy()
        for engine in (*ENGINES, *(("HNSW",) if options.hnsw else ())):
            for name, k, radius in DEMANDS:
                if k is None and engine in ("IVF", "HNSW"):
                    continue  # faiss has no search of these by radius.
                ours.send((engine, data, k, radius or 0))
                seconds, found = ours.recv()
                share = recall(found, exact[name])
                row(output, kind, n, bits, name, engine, float(np.median(seconds)), share)
        ours.send(None)
        peer.join()


def time_device(database, queries):
    """Times a scan by XLA for the 10 nearest."""
    import jax

    from jhash.retrieval.search import hamming, layout

    prepared = jax.block_until_ready(layout.prepare(database))
    seconds, _ = time_each(
        lambda query: jax.block_until_ready(hamming.search(prepared, query, 10)), queries
    )
    return seconds


def row(output, kind, n, bits, demand, engine, seconds, share):
    output.row(
        "searches",
        f"| {kind} | {n:,} | {bits} | {demand} | {engine} | {1e3 * seconds:.3f} | {share:.3f} |",
        codes=kind,
        database=n,
        bits=bits,
        demand=demand,
        engine=engine,
        seconds=seconds,
        recall=share,
    )


def grow(options, output):
    """Times the index for several sizes."""
    from jhash.retrieval import HammingIndex
    from jhash.retrieval.search import host

    host._PATIENCE = np.inf if options.numpy else 0
    lines = {}
    for kind in ("clustered", "random"):
        for n in options.growth:
            database = make_codes(kind, n, 64, 1)
            queries = make_codes(kind, QUERIES, 64, 2)
            scan, _ = time_each(functools.partial(_scan, database), queries)
            index = HammingIndex.build(database, 64)
            del database
            index.optimize()
            row(output, kind, n, 64, "k = 10", "scan", scan, 1.0)
            for name, k, radius in DEMANDS[:2]:
                seconds, _ = time_each(of_index(index, k, radius), queries)
                row(output, kind, n, 64, name, "index", seconds, 1.0)
                lines.setdefault(f"{kind}, {name}", []).append(seconds)
            lines.setdefault(f"{kind}, scan, k = 10", []).append(scan)
    if options.plot:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        for name, seconds in lines.items():
            axes.loglog(options.growth, 1e3 * np.array(seconds), marker="o", label=name)
        axes.set(xlabel="codes of 64 bits", ylabel="milliseconds per query")
        axes.legend()
        figure.savefig(options.plot)


def _scan(database, query):
    from jhash.retrieval.search import host

    return host.find(query, database, 10, 64)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=10_000_000)
    parser.add_argument("--bits", type=int, nargs="+", default=[64])
    parser.add_argument("--hnsw", action="store_true", help="HNSW as well")
    parser.add_argument("--numpy", action="store_true", help="compile nothing by Numba")
    parser.add_argument("--growth", type=int, nargs="+", metavar="N", help="sizes, the index alone")
    parser.add_argument("--plot", metavar="FILE", help="with --growth: a picture, PNG or SVG")
    add_switch(parser)
    options = parser.parse_args()
    with Output(options.json) as output:
        output.line("Medians over the queries, in milliseconds per query.\n")
        output.line("| codes | N | bits | search | engine | ms | recall |")
        output.line("| --- | --- | --- | --- | --- | --- | --- |")
        if options.growth:
            grow(options, output)
            return
        for bits in options.bits:
            for kind in ("clustered", "random"):
                compare(kind, options.n, bits, options, output)


if __name__ == "__main__":
    main()
