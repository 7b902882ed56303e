"""Images a second of DAH's network, in training and encoding, against the same one in PyTorch.

    python benchmarks/dah_throughput.py [--turns=5] [--quick]

Prints three tables: the network, with the ratio of the speeds (median of the turns, smallest to
largest); a training step of jhash with either form of `jhash.models.convolutions`, shifted sums or
XLA's own operations; the depthwise 3 x 3 convolution alone.

A step is the forward pass, DAH's loss with the classification, the backward pass and Adam, as in
`jhash.algorithms.dah`. jhash and PyTorch have a process each, with all CPUs or one GPU, and take
turns of equally many calls; the images lie on the device. PyTorch runs eagerly and has the same
weights, channels_last, the depthwise 1 x 1 scales multiplied into the 1 x 1 convolutions as in
jhash, fused Adam, inference_mode to encode, autocast for bfloat16, and keeps freed memory as jhash
does (`jhash.memory`). Float32 has no TF32 on either side.

Every cell is checked by the results of its first call, in training the step that is timed: outputs,
loss and the norm of every parameter's gradient. In float32 they must agree to rounding, in bfloat16
roughly: PyTorch rounds activations too, jhash the factors of the 1 x 1 convolutions only.
"""

import argparse
import multiprocessing
import os
import sys
import time

import numpy as np
from dah_sides import BITS, CLASSES, Jhash, Job, PyTorch

GREY, COLOUR = (28, 28, 1), (32, 32, 3)
# Few, as XLA compiles for most of the time. Every third is --quick's.
CELLS = (
    ("train", 20, GREY),
    ("train", 80, GREY),
    ("train", 20, COLOUR),
    ("encode", 100, GREY),
    ("encode", 1000, GREY),
    ("encode", 1000, COLOUR),
)
BATCH = 20  # Of the tables of forms: DAH's, two images a class.
# The inputs of the 3 x 3 convolutions at the stages of a 28 x 28 image.
STAGES = (14, 14, 64), (7, 7, 128), (4, 4, 256)
# Of a difference relative to the largest value: results, norms of gradients.
TOLERANCE = {"float32": (1e-4, 1e-3), "bfloat16": (0.1, 0.4)}
BURST = 0.5  # Seconds of a turn, about; at least one call.


def serve(pipe, side):
    """Answers (method, arguments), in a process of its own."""
    from jhash.system import malloc

    malloc.keep_freed()
    side = side()
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:  # The other end is gone.
            return
        pipe.send(getattr(side, method)(*arguments))


class Peer:
    """A side, from outside: peer(method, *arguments). Its process ends with this one."""

    def __init__(self, side):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        context.Process(target=serve, args=(other, side), daemon=True).start()
        other.close()

    def __call__(self, method, *arguments):
        self.pipe.send((method, arguments))
        return self.pipe.recv()


def prepare(job, ours, theirs, weights=None):
    """Prepares a job on both sides and checks that they find the same; seconds of a call."""
    (mine, my_seconds), (other, seconds) = (p("prepare", job, weights) for p in (ours, theirs))
    assert mine.keys() == other.keys()
    for name, value in mine.items():
        atol = TOLERANCE[job.dtype][name == "gradients"] * np.abs(other[name]).max()
        np.testing.assert_allclose(value, other[name], 0, atol, err_msg=f"{name} of {job}")
    return max(my_seconds, seconds)


def measure(contestants, seconds, turns):
    """Seconds a call, [contestants, turns]; a contestant is (peer, job), prepared."""
    calls = int(np.clip(BURST / seconds, 1, 1000))
    times = np.empty((len(contestants), turns))
    for turn in range(turns):
        # Each follows the other as often as it goes before.
        for i in range(len(contestants))[:: -1 if turn % 2 else 1]:
            peer, job = contestants[i]
            times[i, turn] = peer("seconds", job, calls)
            time.sleep(0.02)  # Its threads stop spinning.
    return times


def header(title, columns):
    rule = " --- |" * len(columns.split(", "))
    print(f"\n{title}\n\n| {columns.replace(', ', ' | ')} |\n|{rule}", flush=True)


def row(names, values, ratios):
    spread = f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    cells = [*names, *(f"{value:.4g}" for value in np.median(values, axis=1)), spread]
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def size(shape):
    return " x ".join(map(str, shape))


def network_table(ours, theirs, weights, form, options):
    columns = "task, images, batch, dtype, PyTorch, jhash, jhash / PyTorch"
    header("The network, images a second:", columns)
    for task, batch, shape in CELLS[:: 3 if options.quick else 1]:
        for dtype in TOLERANCE:
            job = Job(task, batch, shape, form, dtype)
            seconds = prepare(job, ours, theirs, weights[shape])
            times = measure([(theirs, job), (ours, job)], seconds, options.turns)
            row((task, size(shape), batch, dtype), batch / times, times[0] / times[1])


def forms_table(ours, theirs, weights, options):
    title = "A training step of jhash by the form of its convolutions and pooling, images a second:"
    header(title, "images, batch, dtype, XLA's, shifted, shifted / XLA's")
    for dtype in TOLERANCE:
        jobs = [Job("train", BATCH, GREY, form, dtype) for form in ("xla", "shifted")]
        seconds = max(prepare(job, ours, theirs, weights[GREY]) for job in jobs)
        times = measure([(ours, job) for job in jobs], seconds, options.turns)
        row((size(GREY), BATCH, dtype), BATCH / times, times[0] / times[1])


def depthwise_table(ours, theirs, options):
    title = f"The depthwise 3 x 3 convolution, float32, batch {BATCH}, milliseconds a call:"
    header(title, "input, task, XLA's, PyTorch, shifted, PyTorch / shifted")
    for shape in STAGES:
        for task in ("forward", "gradients"):
            xla, shifted = jobs = [Job(task, BATCH, shape, form) for form in ("xla", "shifted")]
            seconds = max(prepare(job, ours, theirs) for job in jobs)
            contestants = [(ours, xla), (theirs, shifted), (ours, shifted)]
            times = measure(contestants, seconds, options.turns)
            row((size(shape), task), 1e3 * times, times[1] / times[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="fewer cells of the network, two turns"
    )
    options = parser.parse_args()
    if options.quick:
        options.turns = 2
    ours, theirs = Peer(Jhash), Peer(PyTorch)
    (kind, jax, form), (other, torch) = ours("about"), theirs("about")
    if (kind == "CPU") != (other == "CPU"):
        sys.exit(
            f"{jax} runs on {kind}, {torch} on {other}: there is nothing to compare. "
            "JAX_PLATFORMS=cpu CUDA_VISIBLE_DEVICES= in the environment give both the CPU."
        )
    where = f"CPU, {len(os.sched_getaffinity(0))} threads" if kind == "CPU" else kind
    print(f"{where}. {jax}, {torch}. {BITS} bits, {CLASSES} classes, {options.turns} turns.")
    weights = {shape: ours("weights", shape) for shape in (GREY, COLOUR)}
    network_table(ours, theirs, weights, form, options)
    forms_table(ours, theirs, weights, options)
    depthwise_table(ours, theirs, options)


if __name__ == "__main__":
    main()
