"""Compares the codes that stage 1 of DSTGeH gives to training images, without stage 2.

    python benchmarks/graph_codes.py --scan beta 0 1e-5 1e-4 1e-3 0.099 [--json]
    python benchmarks/graph_codes.py --embedding=itq

Images of the embedded training set are drawn, 3,000 unless `--images` says otherwise. All of them
are nodes of the graph. 500 of them (`--queries`) are queries to the others, and labels are used for
that alone. The test queries take no part, so settings may be chosen here. `--scan` sets an option
of the embedding to each of some values, and `--set NAME=VALUE ...` sets further options. The metric
may also be one of `graph_rows.py`.
`--uncentered` leaves the mean in the features, as the paper does. `--features` names a folder that
keeps the features for the next call. `--smoke` takes 64 random images and cheap features, to see
that everything runs.
"""

import argparse
import ast
import importlib
import tempfile
import time

import graph_rows
import numpy as np
from output import Output, add_switch

from configs import dstgeh
from jhash import data as datasets
from jhash import retrieval, rng
from jhash.methods import graph_autoencoder
from jhash.pretrained import features


def read(word):
    """Reads a value of an option: a Python literal, or else a text."""
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--embedding", default="sae")
    parser.add_argument("--scan", nargs="+", metavar=("NAME", "VALUE"), default=[])
    parser.add_argument("--set", nargs="+", metavar="NAME=VALUE", default=[])
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--bits", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--uncentered", action="store_true", help="leave the mean in the features")
    parser.add_argument("--features", help="a folder for features; default: they are not kept")
    parser.add_argument("--smoke", action="store_true", help="random images and cheap features")
    add_switch(parser)
    options = parser.parse_args()

    graph_autoencoder.METRICS.update(graph_rows.METRICS)
    argument = f"embedding={options.embedding},bits={options.bits}"
    config = dstgeh.get_config(argument + (",smoke" if options.smoke else ""))
    data = datasets.load_config(config.data)
    images = min(options.images, len(data.train))
    queries = min(options.queries, images // 2)
    drawn = np.random.default_rng(options.seed).choice(data.train, images, replace=False)
    nodes = features.load(config.method.features, data.source, drawn, options.features)
    if not options.uncentered:
        nodes = nodes - nodes.mean(0)
    labels = data.labels(drawn)
    embedding = config.method.embedding.to_dict()
    module = importlib.import_module(f"jhash.methods.embeddings.{embedding.pop('name')}")
    embedding |= {name: read(value) for name, _, value in (w.partition("=") for w in options.set)}
    scanned, *values = options.scan or ["", ""]
    with Output(options.json) as output:
        output.line(
            f"{queries:,} queries against {images - queries:,} others, {config.bits} bits\n",
            queries=queries,
            database=images - queries,
            bits=config.bits,
        )
        output.line(f"| {scanned or 'embedding'} | mAP@20 %, percent | constant bits | seconds |")
        output.line("| --- | --- | --- | --- |")
        for value in values:
            chosen = embedding | ({scanned: read(value)} if scanned else {})
            began = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                key = rng.stream(options.seed, "embedding")
                codes = module.embed(nodes, config.bits, key, folder, **chosen)
            seconds = time.perf_counter() - began
            constant = retrieval.count_lost_bits(codes > 0)["constant_bits"]
            packed = np.asarray(retrieval.pack_codes(codes))
            score = 100 * retrieval.mean_average_precision(
                packed[:queries],
                packed[queries:],
                labels[:queries],
                labels[queries:],
                config.bits,
                at=retrieval.top_percent(20, images - queries),
            )
            output.row(
                "values",
                f"| {value or options.embedding} | {score:.1f} | {constant} | {seconds:.0f} |",
                value=value,
                map_top_20_percent=score,
                constant_bits=constant,
                seconds=seconds,
            )


if __name__ == "__main__":
    main()
