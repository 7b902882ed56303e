"""MAP over the full ranking: jhash against a per-query NumPy argsort loop, both in this run.

    python benchmarks/evaluation_speed.py
    python benchmarks/evaluation_speed.py --queries=1000 --database=9000 --bits=32

Data: random codes, all distinct, which is the slowest case; clustered codes, where a class has one
code, and half of its items differ from it in a few bits; and, with --run, the codes of a run, the
database encoded by the network.

Two loops. "usual" is the one of public hashing code: the product of +-1 codes in float32, argsort,
average precision of that order. "tuned" is the fastest that we could write in NumPy: XOR and
bitwise_count on one 64-bit word, a stable (radix) argsort of uint8. Both run on a part of the
queries, in turns with jhash, and are scaled to all of them; medians are shown. jhash is timed from
packed codes to the mean, after one call that compiles.
"""

import argparse
import os
import time

# A product with one query is too short for BLAS threads, which would fight with JAX's.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from jhash import retrieval


def random_codes(rng, n, bits, classes, prototypes):
    del prototypes
    return rng.integers(0, 2, (n, bits), dtype=np.int8), rng.integers(0, classes, n)


def clustered_codes(rng, n, bits, classes, prototypes):
    labels = rng.integers(0, classes, n)
    # Half of the items lie on the class's code; the others flip each bit with probability 0.05.
    noise = (rng.random((n, bits)) < 0.05) & (rng.random((n, 1)) < 0.5)
    return prototypes[labels] ^ noise, labels


def ordered_precision(order, related):
    ranks = np.flatnonzero(related[order]) + 1
    return np.mean(np.arange(1, len(ranks) + 1) / ranks) if len(ranks) else 0.0


def usual_loop(queries, database, q_labels, db_labels):
    bits = database.shape[1]
    scores = []
    for query, label in zip(queries, q_labels, strict=True):
        distances = 0.5 * (bits - database @ query)
        scores.append(ordered_precision(np.argsort(distances), db_labels == label))
    return scores


def tuned_loop(queries, database, q_labels, db_labels):
    scores = []
    for query, label in zip(queries, q_labels, strict=True):
        distances = np.bitwise_count(database ^ query)
        order = np.argsort(distances, kind="stable")
        scores.append(ordered_precision(order, db_labels == label))
    return scores


def words64(on):
    return (on.astype(np.uint64) << np.arange(on.shape[1], dtype=np.uint64)).sum(axis=1)


def check(distances, related, bits, average_precision):
    """Compares one query with the tie-exact AP written out rank by rank."""
    expected, before, found = 0.0, 0, 0
    for distance in range(bits + 1):
        group = distances == distance
        n, p = int(group.sum()), int(related[group].sum())
        rank = np.arange(1, n + 1)
        share = (p - 1) / (n - 1) if n > 1 else 0.0
        if p:
            expected += p / n * np.sum((found + 1 + (rank - 1) * share) / (before + rank))
        before, found = before + n, found + p
    np.testing.assert_allclose(average_precision, expected / max(1, found), rtol=1e-9)


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
    sets = []
    for name in ("queries", "database"):
        with np.load(os.path.join(workdir, "codes", f"{name}.npz")) as file:
            bits = int(file["bits"])
            sets += [np.asarray(retrieval.unpack_codes(file["codes"], bits)) > 0, file["labels"]]
    return [sets[0].astype(np.int8), sets[1], sets[2].astype(np.int8), sets[3]]


def compare(name, codes, flags):
    q, q_labels, db, db_labels = codes
    arguments = (*map(retrieval.pack_codes, (q, db)), q_labels, db_labels, q.shape[1])
    signs = [2 * codes.astype(np.float32) - 1 for codes in (q, db)]
    words = [words64(codes) for codes in (q, db)]

    compiling, mean = timed(retrieval.mean_average_precision, *arguments)
    part = slice(0, min(flags.numpy_queries, len(q)))
    scale = len(q) / (part.stop - part.start)
    times = {"usual loop": [], "tuned loop": [], "jhash": []}
    for _ in range(flags.repeats):
        seconds, _ = timed(usual_loop, signs[0][part], signs[1], q_labels[part], db_labels)
        times["usual loop"].append(seconds * scale)
        seconds, _ = timed(tuned_loop, words[0][part], words[1], q_labels[part], db_labels)
        times["tuned loop"].append(seconds * scale)
        times["jhash"].append(timed(retrieval.mean_average_precision, *arguments)[0])

    each = retrieval.average_precision(*retrieval.distance_histograms(*arguments))
    for i in range(min(20, len(q))):
        distances = np.bitwise_count(words[1] ^ words[0][i])
        check(distances, db_labels == q_labels[i], q.shape[1], each[i])
    np.testing.assert_allclose(each.mean(), mean)

    medians = {method: float(np.median(seconds)) for method, seconds in times.items()}
    distinct = len(np.unique(words[1]))
    print(
        f"\n{name}, {q.shape[1]} bits: {len(q):,} queries, {len(db):,} codes, {distinct:,} of them"
    )
    print(f"distinct, MAP {mean:.4f}")
    print(f"{'':12}{'seconds':>10}{'x jhash':>10}")
    for method, seconds in medians.items():
        print(f"{method:12}{seconds:10.3f}{seconds / medians['jhash']:10.1f}")
    print(f"jhash's first call, compilation included: {compiling:.2f} s")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--database", type=int, default=60_000)
    parser.add_argument("--bits", type=int, default=48, help="up to 64, for the tuned loop's sake")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--numpy_queries", type=int, default=200, help="that the loops run on")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", help="a run's folder, to compare on its codes too")
    flags = parser.parse_args()
    if not 1 <= flags.bits <= 64:
        parser.error(f"--bits: got {flags.bits}; allowed are 1 to 64.")
    print(f"The loops are timed on {flags.numpy_queries:,} queries and scaled to all.")
    compare("random codes", made_codes(random_codes, flags), flags)
    compare("clustered codes", made_codes(clustered_codes, flags), flags)
    if flags.run:
        compare("codes of a run", run_codes(flags.run), flags)


if __name__ == "__main__":
    main()
