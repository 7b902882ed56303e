"""DSTGeH's first stage on a graph too large to store: memory and time.

    python benchmarks/graph_scale.py --nodes=100000

trains the stacked autoencoder on random clustered features, an epoch of each phase, in this
process, and prints the seconds of each and the process's peak memory; then the time of L_fo and its
gradient for a quarter, half and all of the nodes. The peer is the graph itself: nodes^2 float32
numbers (40 GB for 100,000) before any work on them.
"""

import argparse
import resource
import tempfile
import time

import jax
import numpy as np

from jhash.losses import graph
from jhash.methods.embeddings import sae
from jhash.solvers import factored_graph
from jhash.system import malloc


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=1536)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    malloc.keep_freed()

    run = sae._Phase.epoch

    def timed(phase, *arguments):
        began = time.perf_counter()
        result = jax.block_until_ready(run(phase, *arguments))
        name = "the whole stack" if phase.layer is None else f"layer {phase.layer}"
        seconds = time.perf_counter() - began
        print(f"an epoch of {name}: {seconds:.0f} s, compilation included", flush=True)
        return result

    sae._Phase.epoch = timed
    print(f"{options.nodes} nodes x {options.features} features x {options.bits} bits")
    print(f"the graph would be {4 * options.nodes**2 / 1e9:.1f} GB", flush=True)
    features = clustered(options.nodes, options.features)
    with tempfile.TemporaryDirectory() as folder:
        sae.embed(features, options.bits, jax.random.key(0), folder, pretrain_epochs=1, epochs=1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory of the process: {1024 * peak / 1e9:.2f} GB")

    both = jax.jit(jax.value_and_grad(graph.first_order_loss))
    codes = np.random.default_rng(1).normal(size=(options.nodes, options.bits))
    codes = np.tanh(codes).astype(np.float32)
    for nodes in (options.nodes // 4, options.nodes // 2, options.nodes):
        built = jax.block_until_ready(factored_graph.cosine(features[:nodes]))
        taken = []
        for _ in range(1 + options.turns):
            began = time.perf_counter()
            jax.block_until_ready(both(codes[:nodes], *built))
            taken.append(time.perf_counter() - began)
        print(f"L_fo and its gradient, {nodes} nodes: {1e3 * np.median(taken[1:]):.0f} ms")


def clustered(nodes, features):
    """Float32 features at least 0, around a hundred centres."""
    rng = np.random.default_rng(0)
    centres = rng.exponential(size=(100, features)).astype(np.float32)
    found = rng.standard_normal((nodes, features), np.float32)
    found *= 0.5
    for start in range(0, nodes, 1000):
        part = found[start : start + 1000]
        part += centres[np.arange(start, start + len(part)) % 100]
        np.maximum(part, 0, out=part)
    return found


if __name__ == "__main__":
    main()
