"""Measures memory and time of AIHN's gradient by depth: plain, checkpointed, reversible.

    python benchmarks/reversible_training.py [--json]
    python benchmarks/reversible_training.py --size=224 --batch=4 --blocks=100 --turns=0

All forms differentiate the same model and loss in this process. "temporary" is the memory that the
compiled value_and_grad needs beside its arguments and results (`memory_analysis`), so parameters
and gradients are not counted. "MiB per image" is its growth per image from half of the batch to the
batch. "fit" is the largest batch that then fits into --memory GiB, together with parameters,
gradients and SGD's momentum. Time is the median of turns, with the smallest and the largest; in a
turn every form makes one step. --turns=0 runs nothing, so the memory need not exist. "differs" is
the norm of the difference from the plain gradient, relative to the norm of the plain gradient.
"""

import argparse
import functools
import os
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from output import Output, add_switch

from jhash.losses import pairwise, quantization
from jhash.models import count_parameters
from jhash.models.invertible_net import InvertibleNet
from jhash.system import malloc

BITS = 48
# Blocks of each stage, shared out about as the 100 of the paper; 2 are for a quick look.
STAGES = {2: (1, 1), 10: (2, 2, 4, 2), 30: (2, 5, 21, 2), 100: (6, 16, 72, 6)}
FORMS = {
    "plain": {"gradient": "plain"},
    "checkpoint": {"gradient": "checkpoint"},
    "reversible": {"gradient": "reversible"},
    "rev., lattice 12": {"gradient": "reversible", "lattice": 12},
}
HEADS = (
    ("blocks", 6),
    ("gradient", 16),
    ("compile s", 9),
    ("temporary MiB", 13),
    ("MiB per image", 13),
    ("fit", 6),
    ("step ms", 22),
    ("against plain", 20),
    ("differs", 8),
)


def main():
    malloc.keep_freed()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_switch(parser)
    parser.add_argument("--blocks", type=int, nargs="+", choices=STAGES, default=[10, 30, 100])
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    for name, value in (("size", 32), ("batch", 64), ("turns", 5), ("memory", 80)):
        parser.add_argument(f"--{name}", type=int, default=value)
    arguments = parser.parse_args()
    if "plain" not in arguments.forms:  # The others are compared with it.
        parser.error(f"--forms: {' '.join(arguments.forms)} given; allowed: plain among them.")
    if arguments.batch < 4:  # Half of the batch must have pairs of images.
        parser.error(f"--batch: {arguments.batch} given; allowed: 4 or more.")
    device = jax.devices()[0].device_kind
    with Output(arguments.json) as output:
        output.line(
            f"jax {jax.__version__}, {device}, {os.cpu_count()} cores; batch {arguments.batch} of "
            f"{arguments.size} x {arguments.size} x 3, {BITS} bits; fit: in {arguments.memory} GiB",
            jax=jax.__version__,
            device=device,
            cores=os.cpu_count(),
            batch=arguments.batch,
            size=arguments.size,
            bits=BITS,
            memory_gibibytes=arguments.memory,
        )
        output.line(_cells(*(head for head, _ in HEADS)))
        for blocks in arguments.blocks:
            _measure(blocks, arguments, output)


def _measure(blocks, arguments, output):
    nets = {
        name: InvertibleNet(BITS, stages=STAGES[blocks], **FORMS[name]) for name in arguments.forms
    }
    shape = (arguments.batch, arguments.size, arguments.size, 3)
    init = functools.partial(nets["plain"].init, train=False)
    shapes = jax.eval_shape(init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))
    forms = {name: Form(net, shapes, shape) for name, net in nets.items()}
    times = {name: [] for name in forms}
    if arguments.turns:
        rng = np.random.default_rng(0)
        x = jnp.asarray(rng.normal(size=shape), jnp.float32)
        variables = jax.jit(init)(jax.random.key(0), x)
        inputs = variables, x, jnp.arange(arguments.batch) % 10
        gradients = {name: form.step(*inputs)[1] for name, form in forms.items()}
        jax.block_until_ready(gradients)
        for _ in range(arguments.turns):
            for name, form in forms.items():
                began = time.perf_counter()
                jax.block_until_ready(form.step(*inputs))
                times[name].append(time.perf_counter() - began)
    fixed = 3 * 4 * count_parameters(shapes["params"])
    for name, form in forms.items():
        # Some temporaries do not grow with the batch, such as a copy of the parameters.
        base = form.temporary - form.per_image * arguments.batch
        fit = (arguments.memory * 2**30 - fixed - base) // form.per_image
        numbers = {
            "blocks": blocks,
            "gradient": name,
            "compile_seconds": form.seconds,
            "temporary_bytes": form.temporary,
            "bytes_per_image": form.per_image,
            "fit": int(fit),
        }
        cells = [blocks, name, f"{form.seconds:.0f}", f"{form.temporary / 2**20:.1f}"]
        cells += [f"{form.per_image / 2**20:.2f}", f"{fit:.0f}"]
        if arguments.turns:
            milliseconds = [1e3 * seconds for seconds in times[name]]
            ratios = [a / b for a, b in zip(times[name], times["plain"], strict=True)]
            numbers |= {"step_milliseconds": milliseconds, "ratios_to_plain": ratios}
            cells += [_spread(milliseconds, 0), _spread(ratios, 2)]
            # On the lattice it is the gradient of another function.
            if not nets[name].lattice:
                difference = float(_difference(gradients[name], gradients["plain"]))
                numbers["difference"] = difference
                cells.append(f"{difference:.0e}")
        output.row("gradients", _cells(*cells), **numbers)


class Form:
    """A compiled value_and_grad, with its memory and the time of its compilation.

    With `per_image`, half of the batch is compiled as well, for the memory of an image.
    """

    def __init__(self, net, variables, shape, per_image=True):
        def loss(params, stats, x, labels):
            outputs, changed = net.apply(
                {"params": params, "batch_stats": stats}, x, True, mutable=["batch_stats"]
            )
            pairs = pairwise.likelihood_loss(outputs, pairwise.similar(labels))
            return pairwise.mean_over_pairs(pairs) + quantization.sign_loss(outputs).mean(), changed

        gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))

        def compile_for(batch):
            x = jax.ShapeDtypeStruct((batch, *shape[1:]), jnp.float32)
            labels = jax.ShapeDtypeStruct((batch,), jnp.int32)
            lowered = gradient.lower(variables["params"], variables["batch_stats"], x, labels)
            return lowered.compile()

        began = time.perf_counter()
        self._compiled = compile_for(shape[0])
        self.seconds = time.perf_counter() - began
        self.temporary = _temporary(self._compiled)
        if per_image:
            half = shape[0] // 2
            self.per_image = (self.temporary - _temporary(compile_for(half))) / (shape[0] - half)

    def step(self, variables, x, labels):
        (loss, _), gradients = self._compiled(
            variables["params"], variables["batch_stats"], x, labels
        )
        return loss, gradients


def _temporary(compiled):
    return compiled.memory_analysis().temp_size_in_bytes


def _difference(gradients, reference):
    """Computes the norm of the difference, relative to the norm of the reference."""
    difference = jax.tree.map(jnp.subtract, gradients, reference)
    return optax.tree.norm(difference) / optax.tree.norm(reference)


def _spread(values, digits):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def _cells(*cells):
    widths = [width for _, width in HEADS[: len(cells)]]
    return "  ".join(str(cell).rjust(width) for cell, width in zip(cells, widths, strict=True))


if __name__ == "__main__":
    main()
