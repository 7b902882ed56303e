"""Times exact searches of an index, and of engines that can stand behind it, on the same codes.

    python benchmarks/engines.py [--n=1000000] [--engines faiss jhash duckdb] [--json]

Engines that are not installed are left out: `pip install faiss-cpu duckdb lancedb 'psycopg[binary]'
'jhash[milvus]'`, and the programs of PostgreSQL. Each engine is a process of its own, with its own
default of threads, and all are asked for the k nearest of random codes. Their distances are
compared with those of NumPy.

"One query" is the median and the 99th percentile of single queries, and "batch" the time per query
of one call for many queries where the engine has that, else of one call after the other. "cpu" is
the time of processors that the engine and all its processes have used, which depends less on other
work of the machine. "Memory" is the most that the process and those that it has started have
resident after the codes are in, pages of files included, above what they had before. "Add" is the
time until one more code can be found. faiss comes first and last, and ratios are those of "cpu" to
the mean of both.
"""

import argparse
import contextlib
import glob
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings

import numpy as np
from output import Output, add_switch
from peers import engines

BITS = 64


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--singles", type=int, default=100, help="single queries")
    parser.add_argument("--batch", type=int, default=100, help="queries of a batch")
    parser.add_argument("--turns", type=int, default=3, help="batches, and codes that are added")
    parser.add_argument("--engines", nargs="+", choices=engines.ENGINES, default=engines.ENGINES)
    parser.add_argument(
        "--cpus",
        type=int,
        help="CPUs of each engine; on a busy machine 1, since threads of faiss "
        "that wait for each other lose their turns; default: all",
    )
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)  # Name and folder.
    add_switch(parser)
    return parser.parse_args()


def make_codes(n, seed):
    return np.random.default_rng(seed).integers(0, 256, (n, BITS // 8), np.uint8)


def nearest_distances(codes, queries, k):
    words = codes.view(np.uint64)[:, 0]
    rows = (np.bitwise_count(words ^ query) for query in queries.view(np.uint64)[:, 0])
    return np.array([np.sort(np.partition(row, k - 1)[:k]) for row in rows])


class Memory(threading.Thread):
    """The most that this process and its children have resident, in MB."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most = 0.0

    def run(self):
        while True:
            self.most = max(self.most, self.now())
            time.sleep(0.05)

    def now(self):
        return sum(map(resident_kib, family(os.getpid()))) * 1024 / 1e6


def family(process):
    """Yields a process and all that it has started."""
    yield process
    for thread in glob.glob(f"/proc/{process}/task/*/children"):
        with contextlib.suppress(OSError), open(thread) as file:
            for child_process in file.read().split():
                yield from family(int(child_process))


def cpu_seconds():
    """Returns the time of processors that this process and all that it has started have used."""
    ticks = 0
    # The system counts that of other processes in ticks of some milliseconds.
    for process in list(family(os.getpid()))[1:]:
        with contextlib.suppress(OSError), open(f"/proc/{process}/stat") as file:
            # Behind the name of the program, which may have blanks in it. The last two are those of
            # processes that it has started and that have ended, as PostgreSQL's workers do.
            fields = file.read().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def resident_kib(process):
    """Returns the memory of a process; what several share is divided among them."""
    with contextlib.suppress(OSError), open(f"/proc/{process}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return 0


def child(options):
    """Measures one engine, and prints its row."""
    warnings.simplefilter("ignore")
    name, folder = options.child
    if options.cpus:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cpus])
    codes = make_codes(options.n, 0)
    queries = make_codes(options.singles + options.batch, 1)
    expected = nearest_distances(codes, queries, options.k)
    before = Memory().now()
    engine = engines.CLASSES[name](folder)
    began = time.perf_counter()
    engine.build(codes)
    row = {"engine": name, "build_s": time.perf_counter() - began}
    many = queries[options.singles :]
    for warm in range(3):
        engine.search(queries[warm : warm + 1], options.k)
    engine.search(many, options.k)
    times, found = [], []
    spent = cpu_seconds()
    for place in range(options.singles):
        began = time.perf_counter()
        found.append(np.asarray(engine.search(queries[place : place + 1], options.k)))
        times.append(1e3 * (time.perf_counter() - began))
    row["one_cpu_ms"] = 1e3 * (cpu_seconds() - spent) / options.singles
    row |= {"one_ms": np.median(times), "one_p99_ms": np.quantile(times, 0.99)}
    times = []
    spent = cpu_seconds()
    for _ in range(options.turns):
        began = time.perf_counter()
        distances = np.asarray(engine.search(many, options.k))
        times.append(time.perf_counter() - began)
    found.append(distances)
    row["batch_cpu_ms"] = 1e3 * (cpu_seconds() - spent) / options.turns / len(many)
    row["batch_ms"] = 1e3 * np.median(times) / len(many)
    row["exact"] = bool((np.concatenate(found) == expected).all())
    memory = Memory()
    memory.start()
    for start in range(0, len(many), 10):
        engine.search(many[start : start + 10], options.k)
    row["memory_mb"] = max(memory.most, memory.now()) - before
    times = []
    for turn in range(options.turns):
        code = ~queries[turn : turn + 1]
        began = time.perf_counter()
        engine.add(options.n + turn, code)
        while np.asarray(engine.search(code, 1))[0, 0] != 0:
            pass
        times.append(1e3 * (time.perf_counter() - began))
    row["add_ms"] = np.median(times)
    engine.close()
    print(
        json.dumps(
            {
                key: value if key in ("engine", "exact") else float(value)
                for key, value in row.items()
            }
        )
    )


def is_there(name):
    packages, programs = engines.NEEDS[name]
    return all(map(importlib.util.find_spec, packages)) and all(map(shutil.which, programs))


def measure(options, name):
    words = [
        f"--{word}={getattr(options, word)}" for word in ("n", "k", "singles", "batch", "turns")
    ]
    words += [f"--cpus={options.cpus}"] if options.cpus else []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # PostgreSQL's user has to write there.
        done = subprocess.run(
            [sys.executable, __file__, *words, "--child", name, folder],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(f"{name}: {done.stderr.strip()[-1000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    options = parse_options()
    if options.child:
        child(options)
        return
    names = [name for name in options.engines if is_there(name)]
    if "faiss" in names:
        names = ["faiss", *(name for name in names if name != "faiss"), "faiss"]
    with Output(options.json) as output:
        load = os.getloadavg()[0]
        output.line(
            f"{options.n:,} codes of {BITS} bits, k = {options.k}; load {load:.1f}", load=load
        )
        rows = []
        for name in names:
            rows.append(measure(options, name))
            print(f"{name}: measured, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
        peers = [row for row in rows if row["engine"] == "faiss"]
        for row in rows:
            for column in ("one_cpu_ms", "batch_cpu_ms"):
                if peers:
                    mean = np.mean([peer[column] for peer in peers])
                    row[f"{column}_of_faiss"] = float(row[column] / mean)
            shown = (
                f"{key} {value:,.2f}"
                for key, value in row.items()
                if key not in ("engine", "exact")
            )
            text = f"{row['engine']:>9}: exact {row['exact']}, {', '.join(shown)}"
            output.row("engines", text, **row)


if __name__ == "__main__":
    main()
