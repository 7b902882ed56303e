"""Times the updates of an epoch, the network's apart: FDAH's W and B against ADSH's V.

    python benchmarks/asymmetric_updates.py [--json]

Both are the method's own `end_epoch` with the outputs of m = 2,000 queries given, for n = 60,000
images of 10 classes, at several code lengths. FDAH solves for all bits at once, and its codes are
those of groups of equal labels. ADSH solves bit by bit, and each drawn image has a code of its own.
The two take turns, and each number is the median of several calls after the first.
"""

import argparse
import importlib
import statistics
import time

import jax
import numpy as np
from output import Output, add_switch

from jhash.data import ArraySource, Data

METHODS = {"FDAH": ("configs.fdah", "fdah"), "ADSH": ("configs.baselines.adsh", "adsh")}


def update(config, module, data, outputs):
    """Returns a function that makes an update, and waits for its end."""
    method = importlib.import_module(f"jhash.methods.deep.{module}")
    _, state = method.prepare(config, data, jax.random.key(0))
    state = jax.tree.map(jax.numpy.asarray, state)
    drawn = data.train[: len(outputs)]

    def run():
        jax.block_until_ready(method.end_epoch(config, data, state, drawn, lambda _: outputs))

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_switch(parser)
    for name, value in (("n", 60_000), ("m", 2_000), ("classes", 10), ("calls", 9)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--bits", type=int, nargs="+", default=[12, 24, 32, 48])
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(args.n + 1) % args.classes)
    images = np.zeros((args.n + 1, 1, 1, 1), np.uint8)
    everything = np.arange(args.n)
    data = Data(ArraySource(images, labels), everything, everything, np.array([args.n]))
    device = f"{jax.local_device_count()} x {jax.local_devices()[0].device_kind}"
    with Output(args.json) as output:
        sizes = {name: getattr(args, name) for name in ("n", "m", "classes")}
        output.line(" ".join(f"{name}={size}" for name, size in sizes.items()), **sizes)
        output.line(f"device: {device}\n", device=device)
        output.line("| bits | FDAH, ms | ADSH, ms | ratio |")
        output.line("| --- | --- | --- | --- |")
        for bits in args.bits:
            outputs = rng.normal(size=(args.m, bits)).astype(np.float32)
            runs = {}
            for name, (config, module) in METHODS.items():
                made = importlib.import_module(config).get_config(f"bits={bits}")
                runs[name] = update(made, module, data, outputs)
                runs[name]()
            times = {name: [] for name in runs}
            for _ in range(args.calls):
                for name, run in runs.items():
                    began = time.perf_counter()
                    run()
                    times[name].append(1e3 * (time.perf_counter() - began))
            fdah, adsh = (statistics.median(times[name]) for name in ("FDAH", "ADSH"))
            output.row(
                "updates",
                f"| {bits} | {fdah:.2f} | {adsh:.2f} | {adsh / fdah:.1f} |",
                bits=bits,
                fdah_milliseconds=fdah,
                adsh_milliseconds=adsh,
            )


if __name__ == "__main__":
    main()
