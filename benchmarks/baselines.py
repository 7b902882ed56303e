"""Compares hash functions on features that are computed once.

    python benchmarks/baselines.py [--json]
    python benchmarks/baselines.py --data=fashion_mnist --bits=48 --features=runs/NAME/pretrain

The numbers are those that `configs/baselines/shallow.py:METHOD,DATA,bits=BITS` reports as encoded,
with queries and database both encoded. Methods that need labels get those of the training set;
those that are compared by default need none. There is no run's folder, and the features of
EfficientNet-Lite0 are computed once for all methods. `--features` names a folder that keeps them,
or that has them from a run of `configs/dstgeh.py` on the same data. `--smoke` takes 64 random
images and cheap features, to see that everything runs.
"""

import argparse
import functools
import importlib
import itertools

import numpy as np
from output import Output, add_switch

from configs.baselines import shallow
from jhash import data as datasets
from jhash import retrieval, rng
from jhash.pretrained import features

DATA = ("embedded", "fashion_mnist", "scenes")  # Those that need no preparation.
METHODS = ("lsh", "pcah", "sh", "itq")
METRICS = ("map_top_20_percent", *(f"precision_at_recall_{p}" for p in range(10, 90, 10)), "f1")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=DATA, default="embedded")
    parser.add_argument("--bits", type=int, nargs="+", default=[16, 32, 48, 64, 128])
    parser.add_argument("--methods", nargs="+", choices=shallow.METHODS, default=list(METHODS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--features", help="a folder for features; default: they are not kept")
    parser.add_argument("--smoke", action="store_true", help="random images and cheap features")
    add_switch(parser)
    options = parser.parse_args()

    config = shallow.get_config(f"lsh,{options.data}{',smoke' if options.smoke else ''}")
    data = datasets.load_config(config.data)
    # In the same way as in a run of DSTGeH, so that its files are found.
    load = functools.partial(features.load, config.method.features, data.source)
    train, queries = (load(part, options.features) for part in (data.train, data.queries))
    if not np.array_equal(data.train, data.database):
        raise SystemExit("The database is not the training set, which this benchmark needs.")
    labels = data.labels(data.queries), data.labels(data.database)
    key = rng.stream(options.seed, "fit")
    with Output(options.json) as output:
        output.line(
            f"{options.data}: {len(queries):,} queries against {len(train):,} images, in percent\n",
            data=options.data,
            queries=len(queries),
            database=len(train),
        )
        output.line("| bits | method | mAP@20 % | precision at recall 10, 20, ... 80 % | F1 |")
        output.line("| --- | --- | --- | --- | --- |")
        for bits, name in itertools.product(options.bits, options.methods):
            module = importlib.import_module(f"jhash.methods.shallow.{name}")
            needed = labels[1] if getattr(module, "SUPERVISED", False) else None
            params = module.fit(train, needed, bits, key)
            codes = [
                np.asarray(retrieval.pack_codes(module.encode(params, inputs)))
                for inputs in (queries, train)
            ]
            histograms = retrieval.distance_histograms(*codes, *labels, bits)
            metrics = retrieval.summarize(*histograms, **config.metrics)
            percent = {metric: 100 * metrics[metric] for metric in METRICS}
            score, *curve, f1 = (f"{value:.1f}" for value in percent.values())
            output.row(
                "methods",
                f"| {bits} | {name} | {score} | {' '.join(curve)} | {f1} |",
                bits=bits,
                method=name,
                percent=percent,
            )


if __name__ == "__main__":
    main()
