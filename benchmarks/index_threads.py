"""Times an index that threads search while it changes, and single additions to a large one.

    python benchmarks/index_threads.py [--n=1000000] [--large=20000000] [--json]

Threads search for one query at a time (k = 10) while one more thread adds a code and removes
another, as fast as it can. Then codes are added one by one to a large index. Codes have 64 bits and
are clustered as those of `near_search.py`. Memory is what the process has more than before, as a
multiple of the size of the codes.
"""

import argparse
import threading
import time

import near_search
import numpy as np
from output import Output, add_switch

BITS = 64


def resident():
    """Returns the bytes of memory that the process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def searching(options, output):
    from jhash.retrieval import HammingIndex

    index = HammingIndex.build(near_search.make_codes("clustered", options.n, BITS, 1), BITS)
    queries = near_search.make_codes("clustered", 1000, BITS, 2)
    index.optimize()
    for row in range(200):
        index.search(queries[row : row + 1], 10)
    done = threading.Event()
    seconds = [[] for _ in range(options.threads)]
    changes = [0]

    def search(number):
        rng = np.random.default_rng(number)
        while not done.is_set():
            row = rng.integers(len(queries))
            began = time.perf_counter()
            index.search(queries[row : row + 1], 10)
            seconds[number].append(time.perf_counter() - began)

    def change():
        while not done.is_set():
            index.add(queries[changes[0] % 1000 : changes[0] % 1000 + 1])
            index.remove([changes[0]])
            changes[0] += 1

    for changing in (False, True):
        done.clear()
        for times in seconds:
            times.clear()
        threads = [threading.Thread(target=search, args=(i,)) for i in range(options.threads)]
        threads += [threading.Thread(target=change)] * changing
        for thread in threads:
            thread.start()
        time.sleep(options.seconds)
        done.set()
        for thread in threads:
            thread.join()
        every = np.concatenate(seconds)
        output.row(
            "threads",
            f"{options.threads} threads, {options.n:,} codes, {changes[0]:,} changes: "
            f"{len(every) / options.seconds:,.0f} queries/s, median {1e3 * np.median(every):.2f} "
            f"ms, p99 {1e3 * np.quantile(every, 0.99):.2f} ms",
            threads=options.threads,
            database=options.n,
            changes=2 * changes[0],
            queries_per_second=len(every) / options.seconds,
            median_seconds=np.median(every),
            p99_seconds=np.quantile(every, 0.99),
        )


def adding(options, output):
    from jhash.retrieval import HammingIndex

    codes = near_search.make_codes("clustered", options.large, BITS, 1)
    before = resident()
    index = HammingIndex.build(codes, BITS)
    queries = near_search.make_codes("clustered", 1000, BITS, 2)
    index.search(queries[:1], 10)
    seconds = []
    for row in range(10_000):
        began = time.perf_counter()
        index.add(queries[row % 1000 : row % 1000 + 1])
        seconds.append(time.perf_counter() - began)
        if row % 1000 == 0:
            index.search(queries[:1], 10)
    memory = (resident() - before) / codes.nbytes
    output.row(
        "additions",
        f"10,000 additions of one code to {options.large:,}: median {1e6 * np.median(seconds):.0f} "
        f"us, p99 {1e6 * np.quantile(seconds, 0.99):.0f} us, largest {1e3 * max(seconds):.2f} ms; "
        f"memory {memory:.2f} times the codes",
        database=options.large,
        median_seconds=np.median(seconds),
        p99_seconds=np.quantile(seconds, 0.99),
        max_seconds=max(seconds),
        memory=memory,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=1_000_000, help="codes while threads search")
    parser.add_argument("--large", type=int, default=20_000_000, help="codes while some are added")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10)
    add_switch(parser)
    options = parser.parse_args()
    with Output(options.json) as output:
        searching(options, output)
        adding(options, output)


if __name__ == "__main__":
    main()
