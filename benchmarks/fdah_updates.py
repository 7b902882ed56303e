"""FDAH's closed forms at NUS-WIDE's size: seconds a call and peak extra memory.

    python benchmarks/fdah_updates.py

n = 190,000 images, m = 5,000 queries, 21 classes multi-label, 48 bits by default. The labels are
random: more distinct label vectors than real images have, hence more work. For comparison the dense
matrix S alone, which a direct reading of eq. 7 multiplies with, would take n * m * 4 bytes.
"""

import argparse
import statistics
import time

import jax
import numpy as np

from jhash.solvers import asymmetric, label_groups


def main():
    parser = argparse.ArgumentParser()
    for name, value in (("n", 190_000), ("m", 5_000), ("classes", 21), ("bits", 48), ("calls", 7)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    labels = (rng.random((args.n, args.classes)) < 0.1).astype(np.uint8)
    labels[labels.sum(1) == 0, 0] = 1
    codes = np.where(rng.random((args.n, args.bits)) < 0.5, 1, -1).astype(np.int8)
    drawn = rng.choice(args.n, args.m, replace=False)
    u = np.tanh(rng.normal(size=(args.m, args.bits))).astype(np.float32)
    jax.block_until_ready(jax.numpy.ones(()) + 1)  # JAX's own memory is not the updates'.
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
    extra = _memory("VmHWM") - before  # The process's peak: if anything, too high.
    dense = args.n * args.m * 4 / 1e6
    distinct = len(label_groups.group_by_label(labels, args.classes)[0])
    print(f"n={args.n} m={args.m} classes={args.classes} bits={args.bits}")
    print(f"{distinct} distinct label vectors")
    print(f"device: {jax.local_device_count()} x {jax.local_devices()[0].device_kind}")
    for name, (first, *rest) in times.items():
        print(f"{name}: first call {first:.2f} s, then median {statistics.median(rest):.3f} s")
    print(f"peak extra host memory {extra:.0f} MB (dense S alone: {dense:.0f} MB)")


def _memory(field):
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith(field))
    return int(line.split()[1]) / 1e3


if __name__ == "__main__":
    main()
