"""Memory and time of searches of an index that stays in its file, against one that is loaded.

    python benchmarks/streamed_search.py                       # 10 M codes, all three ways
    python benchmarks/streamed_search.py --n=100000000 --ways stream

Each way is a process of its own: "stream" (`HammingIndex.load(path, stream=True)`), "map"
(`mmap=True`) and "load". Its peak of resident memory is that of the system (VmHWM). Of it, "own" is
memory that the process has written, and "file" are pages of the index and of program files, which
the system can take back at any time; both are looked at every 2 ms. The codes are random. The file
was just written, so that the system has it in memory and no disk is read. All ways give one digest
of their results, which is compared.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
from output import Output, add_switch

from jhash.retrieval import HammingIndex
from jhash.retrieval.index import file_format
from jhash.retrieval.search import host

_PIECE = 1 << 22
_WAYS = {"stream": {"stream": True}, "map": {"mmap": True}, "load": {}}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--rounds", type=int, default=5, help="the median is reported")
    parser.add_argument("--ways", nargs="+", choices=_WAYS, default=list(_WAYS))
    parser.add_argument("--warm", type=int, default=5, help="queries before any is timed")
    parser.add_argument("--numpy", action="store_true", help="compile nothing by Numba")
    parser.add_argument("--path", help=argparse.SUPPRESS)
    add_switch(parser)
    return parser.parse_args()


def make(path, n, bits):
    """Writes an index of random codes, with no more than a piece of it in memory."""
    words = -(-bits // 32)
    rng = np.random.default_rng(0)
    folder = os.path.dirname(path)
    codes = np.memmap(os.path.join(folder, "codes"), np.uint32, "w+", shape=(n, words))
    ids = np.memmap(os.path.join(folder, "ids"), np.int64, "w+", shape=(n,))
    for start in range(0, n, _PIECE):
        stop = min(n, start + _PIECE)
        codes[start:stop] = rng.integers(0, 2**32, (stop - start, words), np.uint32)
        ids[start:stop] = np.arange(start, stop)
    codes[:, -1] &= np.uint32(2 ** ((bits - 1) % 32 + 1) - 1)
    file_format.write(path, file_format.Content(codes, bits, ids, {}))


class Peaks(threading.Thread):
    """The largest parts of the resident memory so far, in MB."""

    def __init__(self):
        super().__init__(daemon=True)
        self.own = 0.0
        self.file = 0.0

    def run(self):
        while True:
            self.own = max(self.own, resident("RssAnon:"))
            self.file = max(self.file, resident("RssFile:"))
            time.sleep(0.002)


def resident(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(name))


def child(arguments):
    """Searches one way, and prints a row of the table."""
    peaks = Peaks()
    peaks.start()
    [way] = arguments.ways
    began = time.perf_counter()
    index = HammingIndex.load(arguments.path, **_WAYS[way])
    row = {"way": way, "open_s": time.perf_counter() - began}
    rng = np.random.default_rng(1)
    digest = hashlib.sha256()

    def queries(count):
        words = rng.integers(0, 2**32, (count, -(-arguments.bits // 32)), np.uint32)
        words[:, -1] &= np.uint32(2 ** ((arguments.bits - 1) % 32 + 1) - 1)
        return words

    def search(count):
        asked = queries(count)
        began = time.perf_counter()
        found = index.search(asked, arguments.k)
        seconds = time.perf_counter() - began
        for array in found:
            digest.update(np.ascontiguousarray(array, np.int64).tobytes())
        return seconds

    # Scans are compiled at once, not after some seconds of them.
    host._PATIENCE = np.inf if arguments.numpy else 0
    for _ in range(arguments.warm):
        search(1)
    for count in arguments.batches:
        row[f"batch_{count}_ms"] = 1e3 * float(
            np.median([search(count) for _ in range(arguments.rounds)])
        )
    row |= {"peak_mb": resident("VmHWM:"), "own_mb": peaks.own, "file_mb": peaks.file}
    print(json.dumps(row | {"digest": digest.hexdigest()}))


def main():
    arguments = parse_arguments()
    if arguments.path:
        child(arguments)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "random.index")
        make(path, arguments.n, arguments.bits)
        for way in arguments.ways:
            words = [f"--path={path}", "--ways", way, f"--bits={arguments.bits}"]
            words += [f"--{name}={getattr(arguments, name)}" for name in ("k", "rounds", "warm")]
            words += ["--numpy"] if arguments.numpy else []
            words += ["--batches", *map(str, arguments.batches)]
            made = subprocess.run(
                [sys.executable, __file__, *words], capture_output=True, text=True, check=False
            )
            if made.returncode:
                sys.exit(f"{way}: {made.stderr.strip()}")
            rows.append(json.loads(made.stdout))
    if len({row.pop("digest") for row in rows}) > 1:
        sys.exit("The ways give different results.")
    with Output(arguments.json) as out:
        out.line(
            f"{arguments.n:,} codes of {arguments.bits} bits, k = {arguments.k}; equal results",
            n=arguments.n,
            bits=arguments.bits,
            k=arguments.k,
        )
        for row in rows:
            shown = [f"{name} {value:,.1f}" for name, value in row.items() if name != "way"]
            out.row("ways", f"{row['way']:>8}: {', '.join(shown)}", **row)


if __name__ == "__main__":
    main()
