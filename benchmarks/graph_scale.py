"""Measures memory and time of DSTGeH's first stage on a graph that is too large to store.

    python benchmarks/graph_scale.py --nodes=100000 [--json]

It trains the stacked autoencoder on random clustered features in this process, an epoch of each
phase. It prints the seconds of each phase and the peak memory of the process, then the time of L_fo
and its gradient for a quarter, a half and all of the nodes. The alternative is the graph itself:
nodes^2 float32 numbers, 40 GB for 100,000 nodes, before any work on them.

The seconds of a phase are from the end of the phase before, by the wall times of the log. So they
include the phase's compilation and its first parameters, and for layer 0 the graph's factors.
"""

import argparse
import resource
import tempfile
import time

import jax
import numpy as np
from output import Output, add_switch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jhash.losses import graph
from jhash.methods.embeddings import sae
from jhash.runs import paths
from jhash.solvers import factored_graph
from jhash.system import malloc

# A logged metric of each phase, in the order of training.
PHASES = {
    "layer 0": "reconstruction_0",
    "layer 1": "reconstruction_1",
    "the whole stack": "second_order",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=1536)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    add_switch(parser)
    options = parser.parse_args()
    malloc.keep_freed()
    with Output(options.json) as output:
        run(options, output)


def run(options, output):
    sizes = {name: getattr(options, name) for name in ("nodes", "features", "bits")}
    output.line(" x ".join(f"{size} {name}" for name, size in sizes.items()), **sizes)
    dense = 4 * options.nodes**2 / 1e9
    output.line(f"the graph would be {dense:.1f} GB", dense_gigabytes=dense)
    features = clustered(options.nodes, options.features)
    for phase, seconds in phase_seconds(features, options.bits).items():
        output.row(
            "epochs",
            f"an epoch of {phase}: {seconds:.0f} s, compilation included",
            phase=phase,
            seconds=seconds,
        )
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9
    output.line(f"peak memory of the process: {peak:.2f} GB", peak_gigabytes=peak)

    loss_and_gradient = jax.jit(jax.value_and_grad(graph.first_order_loss))
    codes = np.random.default_rng(1).normal(size=(options.nodes, options.bits))
    codes = np.tanh(codes).astype(np.float32)
    for nodes in (options.nodes // 4, options.nodes // 2, options.nodes):
        factors = jax.block_until_ready(factored_graph.cosine(features[:nodes]))
        times = []
        for _ in range(1 + options.turns):
            began = time.perf_counter()
            jax.block_until_ready(loss_and_gradient(codes[:nodes], *factors))
            times.append(time.perf_counter() - began)
        milliseconds = 1e3 * np.median(times[1:])
        output.row(
            "first_order_loss",
            f"L_fo and its gradient, {nodes} nodes: {milliseconds:.0f} ms",
            nodes=nodes,
            milliseconds=milliseconds,
        )


def phase_seconds(features, bits):
    """Trains an epoch of each phase: {phase: seconds}."""
    began = time.time()
    with tempfile.TemporaryDirectory() as folder:
        sae.embed(features, bits, jax.random.key(0), folder, pretrain_epochs=1, epochs=1)
        log = EventAccumulator(paths.tensorboard(folder)).Reload()
        seconds = {}
        for phase, metric in PHASES.items():
            [logged] = log.Scalars(metric)
            seconds[phase] = logged.wall_time - began
            began = logged.wall_time
    return seconds


def clustered(nodes, features):
    """Returns features of 0 or more, float32, around a hundred centers."""
    rng = np.random.default_rng(0)
    centers = rng.exponential(size=(100, features)).astype(np.float32)
    values = rng.standard_normal((nodes, features), np.float32)
    values *= 0.5
    for start in range(0, nodes, 1000):
        chunk = values[start : start + 1000]
        chunk += centers[np.arange(start, start + len(chunk)) % 100]
        np.maximum(chunk, 0, out=chunk)
    return values


if __name__ == "__main__":
    main()
