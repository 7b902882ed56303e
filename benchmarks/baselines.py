"""The hash functions without labels side by side, on features that are made once.

    python benchmarks/baselines.py
    python benchmarks/baselines.py --data=fashion_mnist --bits=48 --features=runs/NAME/pretrain

Each cell is what `configs/baselines/shallow.py:METHOD,DATA,bits=BITS` reports as encoded (queries
and database both encoded), without a run's folder and with the features of EfficientNet-Lite0
computed once for all of them. `--features` keeps them, or takes those of a run
of `configs/dstgeh.py` on the same data.
"""

import argparse
import importlib
import tempfile

import numpy as np

from configs.baselines import shallow
from jhash import data as datasets
from jhash import retrieval, rng
from jhash.pretrained import features

METRICS = ("map_top_20_percent", *(f"precision_at_recall_{p}" for p in range(10, 90, 10)), "f1")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=shallow.DATA, default="embedded")
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 48, 64, 128])
    parser.add_argument(
        "--methods", nargs="+", choices=shallow.METHODS, default=list(shallow.METHODS)
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--features", help="a folder; default: they are not kept")
    options = parser.parse_args()

    config = shallow.get_config(f"lsh,{options.data}")
    data = datasets.load_config(config.data)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.features or scratch
        # As a run of DSTGeH asks for them, so that its files are found.
        train = features.load(config.method.features, data.source, data.train, folder)
        queries = features.load(config.method.features, data.source, data.queries, folder)
    if not np.array_equal(data.train, data.database):
        raise SystemExit("The database is not the training set: not written.")
    labels = data.labels(data.queries), data.labels(data.database)
    key = rng.stream(options.seed, "fit")
    print(f"{options.data}: {len(queries):,} queries against {len(train):,} images, in percent\n")
    print("| bits | method | mAP@20 % | precision at recall 10, 20, ... 80 % | F1 |")
    print("| --- | --- | --- | --- | --- |")
    for bits in options.bits:
        for name in options.methods:
            module = importlib.import_module(f"jhash.methods.shallow.{name}")
            params = module.fit(train, None, bits, key)
            codes = [
                np.asarray(retrieval.pack_codes(module.encode(params, part)))
                for part in (queries, train)
            ]
            found = retrieval.summarize(
                *retrieval.distance_histograms(*codes, *labels, bits), **config.metrics
            )
            first, *curve, last = (f"{100 * found[name]:.1f}" for name in METRICS)
            print(f"| {bits} | {name} | {first} | {' '.join(curve)} | {last} |", flush=True)


if __name__ == "__main__":
    main()
