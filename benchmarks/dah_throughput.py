"""Measures DAH's model in images per second, in training and encoding, against PyTorch's.

    python benchmarks/dah_throughput.py [--turns=5] [--quick] [--json]

Prints three tables: the model, with the ratio of the speeds (median of the turns, smallest to
largest); a training step of jhash with either form of `jhash.models.layers.convolutions`, shifted
sums or XLA's own operations; and the depthwise 3 x 3 convolution alone.

A step is the forward pass, DAH's loss with the classification, the backward pass and Adam, as in
`jhash.methods.deep.dah`. jhash and PyTorch have a process each, with all CPUs or one GPU, and take
turns of equally many calls; the images are on the device. PyTorch runs eagerly. It has the same
weights, channels_last, the depthwise 1 x 1 scales multiplied into the 1 x 1 convolutions as in
jhash, fused Adam, inference_mode for encoding and autocast for bfloat16, and it keeps freed memory
as jhash does (`jhash.system.malloc`). In float32 neither side uses TF32.

Every row is checked by the results of its first call, which in training is a step like those that
are timed: outputs, loss and the norm of the gradient of every parameter. In float32 they must agree
to rounding, in bfloat16 roughly: PyTorch rounds activations as well, jhash only the factors of the
1 x 1 convolutions.
"""

import argparse
import multiprocessing
import os
import sys
import time

import numpy as np
from dah_sides import BITS, CLASSES, Jhash, Job
from output import Output, add_switch
from peers.dah_torch import PyTorch

GRAY = (28, 28, 1)
COLOR = (32, 32, 3)
# Few, because most of the time is compilation. --quick takes every third.
CELLS = (
    ("train", 20, GRAY),
    ("train", 80, GRAY),
    ("train", 20, COLOR),
    ("encode", 100, GRAY),
    ("encode", 1000, GRAY),
    ("encode", 1000, COLOR),
)
BATCH = 20  # Of the other tables: DAH's, two images per class.
# Inputs of the 3 x 3 convolutions in the stages, for an image of 28 x 28.
STAGES = (14, 14, 64), (7, 7, 128), (4, 4, 256)
# Tolerances of (results, norms of gradients), relative to the largest value.
TOLERANCE = {"float32": (1e-4, 1e-3), "bfloat16": (0.1, 0.4)}
BURST = 0.5  # Seconds of a turn, about; a turn has at least one call.


def serve(pipe, side):
    """Answers requests, (method, arguments), until the other end of the pipe is closed."""
    from jhash.system import malloc

    malloc.keep_freed()
    side = side()
    while True:
        try:
            method, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(getattr(side, method)(*arguments))


class Process:
    """A side in a process of its own, called as process(method, *arguments)."""

    def __init__(self, side):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        context.Process(target=serve, args=(other, side), daemon=True).start()
        other.close()

    def __call__(self, method, *arguments):
        self.pipe.send((method, arguments))
        return self.pipe.recv()


def prepare(job, ours, theirs, weights=None):
    """Prepares a job on both sides, and checks that they compute the same.

    Returns:
      The seconds of a call, of the slower side.
    """
    results, seconds = ours("prepare", job, weights)
    expected, their_seconds = theirs("prepare", job, weights)
    assert results.keys() == expected.keys()
    for name, value in results.items():
        atol = TOLERANCE[job.dtype][name == "gradients"] * np.abs(expected[name]).max()
        np.testing.assert_allclose(value, expected[name], 0, atol, err_msg=f"{name} of {job}")
    return max(seconds, their_seconds)


def measure(contestants, seconds, turns):
    """Returns seconds per call, [contestants, turns]; a contestant is (side, prepared job)."""
    calls = int(np.clip(BURST / seconds, 1, 1000))
    times = np.empty((len(contestants), turns))
    for turn in range(turns):
        # Every second turn is in reverse order, so that nobody is always first.
        for i in range(len(contestants))[:: -1 if turn % 2 else 1]:
            side, job = contestants[i]
            times[i, turn] = side("seconds", job, calls)
            time.sleep(0.02)  # So that its threads stop spinning.
    return times


class Table:
    """A table that is printed row by row.

    Attributes:
      output: The output that prints it.
      name: Name of the table in the JSON object.
      names: Columns of what is compared.
      values: Columns of measured values; a column of ratios follows.
    """

    def __init__(self, output, name, title, names, values, ratio):
        self.output, self.name, self.names, self.values = output, name, names, values
        columns = [*names, *values, ratio]
        rule = " --- |" * len(columns)
        output.line(f"\n{title}\n\n| {' | '.join(columns)} |\n|{rule}")

    def row(self, names, values, ratios):
        """Adds a row of names, values [columns, turns] and ratios [turns]."""
        medians = np.median(values, axis=1)
        spread = f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        cells = [*names, *(f"{value:.4g}" for value in medians), spread]
        self.output.row(
            self.name,
            f"| {' | '.join(map(str, cells))} |",
            **dict(zip(self.names, names, strict=True)),
            values=dict(zip(self.values, medians, strict=True)),
            ratio=np.median(ratios),
            ratio_range=(min(ratios), max(ratios)),
        )


def size(shape):
    return " x ".join(map(str, shape))


def model_table(ours, theirs, weights, form, options, output):
    title = "The model, images per second:"
    names = ("task", "images", "batch", "dtype")
    table = Table(output, "model", title, names, ("PyTorch", "jhash"), "jhash / PyTorch")
    for task, batch, shape in CELLS[:: 3 if options.quick else 1]:
        for dtype in TOLERANCE:
            job = Job(task, batch, shape, form, dtype)
            seconds = prepare(job, ours, theirs, weights[shape])
            times = measure([(theirs, job), (ours, job)], seconds, options.turns)
            table.row((task, size(shape), batch, dtype), batch / times, times[0] / times[1])


def forms_table(ours, theirs, weights, options, output):
    title = (
        "A training step of jhash by the form of its convolutions and pooling, images per second:"
    )
    names = ("images", "batch", "dtype")
    table = Table(output, "forms", title, names, ("XLA's", "shifted"), "shifted / XLA's")
    for dtype in TOLERANCE:
        jobs = [Job("train", BATCH, GRAY, form, dtype) for form in ("xla", "shifted")]
        seconds = max(prepare(job, ours, theirs, weights[GRAY]) for job in jobs)
        times = measure([(ours, job) for job in jobs], seconds, options.turns)
        table.row((size(GRAY), BATCH, dtype), BATCH / times, times[0] / times[1])


def depthwise_table(ours, theirs, options, output):
    title = f"The depthwise 3 x 3 convolution, float32, batch {BATCH}, milliseconds per call:"
    values = ("XLA's", "PyTorch", "shifted")
    table = Table(output, "depthwise", title, ("input", "task"), values, "PyTorch / shifted")
    for shape in STAGES:
        for task in ("forward", "gradients"):
            xla, shifted = jobs = [Job(task, BATCH, shape, form) for form in ("xla", "shifted")]
            seconds = max(prepare(job, ours, theirs) for job in jobs)
            contestants = [(ours, xla), (theirs, shifted), (ours, shifted)]
            times = measure(contestants, seconds, options.turns)
            table.row((size(shape), task), 1e3 * times, times[1] / times[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="fewer rows of the model, two turns")
    add_switch(parser)
    options = parser.parse_args()
    if options.quick:
        options.turns = 2
    ours, theirs = Process(Jhash), Process(PyTorch)
    (kind, jax, form), (their_kind, torch) = ours("about"), theirs("about")
    if (kind == "CPU") != (their_kind == "CPU"):
        sys.exit(
            f"{jax} runs on {kind}, {torch} on {their_kind}: there is nothing to compare. "
            "JAX_PLATFORMS=cpu CUDA_VISIBLE_DEVICES= in the environment give both the CPU."
        )
    where = f"CPU, {len(os.sched_getaffinity(0))} threads" if kind == "CPU" else kind
    with Output(options.json) as output:
        output.line(
            f"{where}. {jax}, {torch}. {BITS} bits, {CLASSES} classes, {options.turns} turns.",
            device=where,
            versions=[jax, torch],
            bits=BITS,
            classes=CLASSES,
            turns=options.turns,
        )
        weights = {shape: ours("weights", shape) for shape in (GRAY, COLOR)}
        model_table(ours, theirs, weights, form, options, output)
        forms_table(ours, theirs, weights, options, output)
        depthwise_table(ours, theirs, options, output)


if __name__ == "__main__":
    main()
