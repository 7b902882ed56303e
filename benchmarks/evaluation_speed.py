"""Times MAP over the full ranking: jhash against NumPy loops that argsort per query.

    python benchmarks/evaluation_speed.py [--json]
    python benchmarks/evaluation_speed.py --queries=1000 --database=9000 --bits=32

There are random codes, all distinct, which are the slowest case; clustered codes, where a class has
one code and half of its items differ from it in a few bits; and, with --run, the codes of a run,
with the database encoded by the model.

There are two loops. "usual" is that of public hashing code: the product of -1 and 1 in float32,
argsort, and the average precision of that order. "tuned" is the fastest that we could write in
NumPy: XOR and bitwise_count on one 64-bit word, and a stable (radix) argsort of uint8. Both run on
some of the queries, in turns with jhash, and their times are scaled to all queries. Medians are
shown. jhash is timed from packed codes to the mean, after a call that compiles.
"""

import argparse
import os
import time

# A product with one query is too short for BLAS threads, which would fight with JAX's.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from output import Output, add_switch
from peers.numpy_loops import check, tuned_loop, usual_loop, words64

from jhash import retrieval
from jhash.runs import code_files, paths


def random_codes(rng, n, bits, classes, prototypes):
    del prototypes
    return rng.integers(0, 2, (n, bits), dtype=np.int8), rng.integers(0, classes, n)


def clustered_codes(rng, n, bits, classes, prototypes):
    labels = rng.integers(0, classes, n)
    # Half of the items lie on the class's code; the others flip each bit with probability 0.05.
    noise = (rng.random((n, bits)) < 0.05) & (rng.random((n, 1)) < 0.5)
    return prototypes[labels] ^ noise, labels


def timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def made_codes(make, flags):
    rng = np.random.default_rng(flags.seed)
    prototypes = rng.integers(0, 2, (flags.classes, flags.bits), dtype=np.int8)
    q, q_labels = make(rng, flags.queries, flags.bits, flags.classes, prototypes)
    db, db_labels = make(rng, flags.database, flags.bits, flags.classes, prototypes)
    return q, q_labels, db, db_labels


def run_codes(workdir):
    arrays = []
    for name in ("queries", "encoded"):
        content = code_files.read(paths.codes(workdir, name))
        signs = np.asarray(retrieval.unpack_codes(content.codes, content.bits))
        arrays += [(signs > 0).astype(np.int8), content.labels]
    return arrays


def compare(name, codes, flags, output):
    q, q_labels, db, db_labels = codes
    arguments = (*map(retrieval.pack_codes, (q, db)), q_labels, db_labels, q.shape[1])
    signs = [2 * codes.astype(np.float32) - 1 for codes in (q, db)]
    words = [words64(codes) for codes in (q, db)]

    compiling, mean = timed(retrieval.mean_average_precision, *arguments)
    timed_queries = slice(min(flags.numpy_queries, len(q)))
    scale = len(q) / timed_queries.stop
    times = {"usual loop": [], "tuned loop": [], "jhash": []}
    for _ in range(flags.repeats):
        seconds, _ = timed(
            usual_loop, signs[0][timed_queries], signs[1], q_labels[timed_queries], db_labels
        )
        times["usual loop"].append(seconds * scale)
        seconds, _ = timed(
            tuned_loop, words[0][timed_queries], words[1], q_labels[timed_queries], db_labels
        )
        times["tuned loop"].append(seconds * scale)
        times["jhash"].append(timed(retrieval.mean_average_precision, *arguments)[0])

    average_precision = retrieval.average_precision(*retrieval.distance_histograms(*arguments))
    for i in range(min(20, len(q))):
        distances = np.bitwise_count(words[1] ^ words[0][i])
        check(distances, db_labels == q_labels[i], q.shape[1], average_precision[i])
    np.testing.assert_allclose(average_precision.mean(), mean)

    medians = {method: float(np.median(seconds)) for method, seconds in times.items()}
    distinct = len(np.unique(words[1]))
    lines = [
        "",
        f"{name}, {q.shape[1]} bits: {len(q):,} queries, {len(db):,} codes, {distinct:,} of them",
        f"distinct, MAP {mean:.4f}",
        f"{'':12}{'seconds':>10}{'x jhash':>10}",
    ]
    for method, seconds in medians.items():
        lines.append(f"{method:12}{seconds:10.3f}{seconds / medians['jhash']:10.1f}")
    lines.append(f"jhash's first call, compilation included: {compiling:.2f} s")
    output.row(
        "cases",
        "\n".join(lines),
        codes=name,
        bits=q.shape[1],
        queries=len(q),
        database=len(db),
        distinct=distinct,
        map=mean,
        seconds=medians,
        ratios={method: seconds / medians["jhash"] for method, seconds in medians.items()},
        first_seconds=compiling,
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--database", type=int, default=60_000)
    parser.add_argument("--bits", type=int, default=48, help="up to 64, which the tuned loop needs")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--numpy_queries", type=int, default=200, help="queries of the loops")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", help="a run's folder, whose codes are ranked, too")
    add_switch(parser)
    flags = parser.parse_args()
    if not 1 <= flags.bits <= 64:
        parser.error(f"--bits: {flags.bits} given; allowed: 1 to 64.")
    with Output(flags.json) as output:
        output.line(
            f"The loops are timed on {flags.numpy_queries:,} queries and scaled to all.",
            numpy_queries=flags.numpy_queries,
        )
        compare("random codes", made_codes(random_codes, flags), flags, output)
        compare("clustered codes", made_codes(clustered_codes, flags), flags, output)
        if flags.run:
            compare("codes of a run", run_codes(flags.run), flags, output)


if __name__ == "__main__":
    main()
