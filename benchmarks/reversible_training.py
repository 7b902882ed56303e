"""Memory and time of AIHN's gradient by depth: plain, checkpointed, reversible.

    python benchmarks/reversible_training.py
    python benchmarks/reversible_training.py --size=224 --batch=2 --blocks=100 --turns=0

All differentiate the same network and loss in this process. "temporary" is what the compiled
value_and_grad needs beside its arguments and results (`memory_analysis`), so parameters and
gradients are not counted. "MiB an image" is its growth from half of the batch to the batch, and
"fit" the largest batch that this lets into --memory, with parameters, gradients and SGD's momentum
in it as well. Time is the median over turns in which each has one step after the other, with
smallest and largest; --turns=0 runs nothing, so that the memory need not be there. "differs" is the
norm of the difference from the plain gradient, relative to its own.
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

from jhash.losses import pairwise, quantization
from jhash.models import count_parameters
from jhash.models.invertible_net import InvertibleNet
from jhash.system import malloc

BITS = 48
# Blocks of each stage in about the shares of the paper's 100.
STAGES = {10: (2, 2, 4, 2), 30: (2, 5, 21, 2), 100: (6, 16, 72, 6)}
PEERS = {
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
    ("MiB an image", 12),
    ("fit", 6),
    ("step ms", 22),
    ("against plain", 20),
    ("differs", 8),
)


def main():
    """Prints the table."""
    malloc.keep_freed()
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, nargs="+", choices=STAGES, default=list(STAGES))
    for name, value in (("size", 32), ("batch", 64), ("turns", 5), ("memory", 80)):
        parser.add_argument(f"--{name}", type=int, default=value)
    arguments = parser.parse_args()
    print(
        f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {os.cpu_count()} cores; batch "
        f"{arguments.batch} of {arguments.size} x {arguments.size} x 3, {BITS} bits; fit: in "
        f"{arguments.memory} GiB"
    )
    _row(*(head for head, _ in HEADS))
    for blocks in arguments.blocks:
        _measure(blocks, arguments)


def _measure(blocks, arguments):
    nets = {
        name: InvertibleNet(BITS, stages=STAGES[blocks], **fields) for name, fields in PEERS.items()
    }
    shape = (arguments.batch, arguments.size, arguments.size, 3)
    init = functools.partial(nets["plain"].init, train=False)
    shapes = jax.eval_shape(init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))
    peers = {name: Peer(net, shapes, shape) for name, net in nets.items()}
    times = {name: [] for name in peers}
    if arguments.turns:
        rng = np.random.default_rng(0)
        x = jnp.asarray(rng.normal(size=shape), jnp.float32)
        variables = jax.jit(init)(jax.random.key(0), x)
        inputs = variables, x, jnp.arange(arguments.batch) % 10
        gradients = {name: peer.step(*inputs)[1] for name, peer in peers.items()}
        jax.block_until_ready(gradients)
        for _ in range(arguments.turns):
            for name, peer in peers.items():
                began = time.perf_counter()
                jax.block_until_ready(peer.step(*inputs))
                times[name].append(time.perf_counter() - began)
    fixed = 3 * 4 * count_parameters(shapes["params"])
    for (name, peer), net in zip(peers.items(), nets.values(), strict=True):
        # Of temporaries that a batch does not change, such as a copy of the parameters.
        base = peer.temporary - peer.an_image * arguments.batch
        fit = (arguments.memory * 2**30 - fixed - base) // peer.an_image
        row = [blocks, name, f"{peer.seconds:.0f}", f"{peer.temporary / 2**20:.1f}"]
        row += [f"{peer.an_image / 2**20:.2f}", f"{fit:.0f}"]
        if arguments.turns:
            ratios = [a / b for a, b in zip(times[name], times["plain"], strict=True)]
            row += [_spread([1e3 * t for t in times[name]], 0), _spread(ratios, 2)]
            # On the lattice it is another function.
            row.append("" if net.lattice else _difference(gradients[name], gradients["plain"]))
        _row(*row)


class Peer:
    """A compiled value_and_grad, and what it needs."""

    def __init__(self, net, variables, shape):
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
        half = shape[0] // 2
        self.an_image = (self.temporary - _temporary(compile_for(half))) / (shape[0] - half)

    def step(self, variables, x, labels):
        (loss, _), gradients = self._compiled(
            variables["params"], variables["batch_stats"], x, labels
        )
        return loss, gradients


def _temporary(compiled):
    return compiled.memory_analysis().temp_size_in_bytes


def _difference(gradients, reference):
    """The norm of the difference, relative to the reference's."""
    difference = jax.tree.map(jnp.subtract, gradients, reference)
    return f"{optax.tree.norm(difference) / optax.tree.norm(reference):.0e}"


def _spread(values, digits):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def _row(*cells):
    widths = [width for _, width in HEADS[: len(cells)]]
    cells = [str(cell).rjust(width) for cell, width in zip(cells, widths, strict=True)]
    print("  ".join(cells), flush=True)


if __name__ == "__main__":
    main()
