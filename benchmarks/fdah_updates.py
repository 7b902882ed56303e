"""Times FDAH's closed forms at NUS-WIDE's size: seconds per call, and peak extra memory.

    python benchmarks/fdah_updates.py [--json]

By default there are n = 190,000 images, m = 5,000 queries, 48 bits and 21 classes, several of which
an image can have. The labels are random, so there are more distinct label vectors than real images
have, and more work. For comparison: the dense matrix S, with which a direct reading of eq. 7
multiplies, would alone take n * m * 4 bytes.
"""

import argparse
import statistics
import time

import jax
import numpy as np
from output import Output, add_switch

from jhash.solvers import asymmetric, label_groups


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_switch(parser)
    for name, value in (("n", 190_000), ("m", 5_000), ("classes", 21), ("bits", 48), ("calls", 7)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    labels = (rng.random((args.n, args.classes)) < 0.1).astype(np.uint8)
    labels[labels.sum(1) == 0, 0] = 1
    codes = np.where(rng.random((args.n, args.bits)) < 0.5, 1, -1).astype(np.int8)
    drawn = rng.choice(args.n, args.m, replace=False)
    u = np.tanh(rng.normal(size=(args.m, args.bits))).astype(np.float32)
    jax.block_until_ready(jax.numpy.ones(()) + 1)  # So that JAX's own memory is not counted.
    before = _memory("VmRSS")
    times = {"W": [], "B": []}
    for _ in range(args.calls + 1):
        began = time.perf_counter()
        w = asymmetric.solve_regression(labels, codes, u, labels[drawn], 1e-3, 1.0)
        jax.block_until_ready(w)
        middle = time.perf_counter()
        jax.block_until_ready(asymmetric.solve_codes(labels, w, u, labels[drawn], 10.0, 1.0))
        times["W"].append(middle - began)
        times["B"].append(time.perf_counter() - middle)
    extra = _memory("VmHWM") - before  # From the peak of the process, so never too low.
    dense = args.n * args.m * 4 / 1e6
    distinct = len(label_groups.group_by_label(labels, args.classes)[0])
    device = f"{jax.local_device_count()} x {jax.local_devices()[0].device_kind}"
    with Output(args.json) as output:
        sizes = {name: getattr(args, name) for name in ("n", "m", "classes", "bits")}
        output.line(" ".join(f"{name}={size}" for name, size in sizes.items()), **sizes)
        output.line(f"{distinct} distinct label vectors", distinct_labels=distinct)
        output.line(f"device: {device}", device=device)
        for name, (first, *rest) in times.items():
            median = statistics.median(rest)
            output.row(
                "updates",
                f"{name}: first call {first:.2f} s, then median {median:.3f} s",
                update=name,
                first_seconds=first,
                median_seconds=median,
            )
        output.line(
            f"peak extra host memory {extra:.0f} MB (dense S alone: {dense:.0f} MB)",
            extra_megabytes=extra,
            dense_megabytes=dense,
        )


def _memory(field):
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith(field))
    return int(line.split()[1]) / 1e3


if __name__ == "__main__":
    main()
