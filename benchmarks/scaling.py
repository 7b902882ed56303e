"""Measures how training scales with the number of devices: speed, work, communication, memory.

    python benchmarks/scaling.py --config=configs/dah.py:paper --batch=800 [--plot=scaling.svg]
    python benchmarks/scaling.py --simulate=8 --batch=64      # devices that share this CPU

The step is that of a run of the config, on random images of its size. *Strong*: the global batch is
--batch for every number of devices. *Weak*: each device has --batch / (most devices) images. Rows
with one device are the reference of both.

- images/s: median of --turns bursts. The efficiency is the speed per device, relative to one
  device.
- GFLOP and MiB accessed per device, of the compiled program by XLA's count. A loop's body counts
  once. The loss of pairs sees the global batch on every device, so its part does not shrink.
- sent: MiB that a device sends in a step for all-reduce and all-gather, on a ring, by the shapes in
  the compiled program.
- waiting: the share of the step that is not in a step of one device on as many images, which has
  no collectives. That is communication, and waiting for the slowest device.
- memory: MiB of a device, by the compiled program: arguments and temporary memory.

Simulated devices share the cores of one machine. Their speed says nothing; work, bytes sent and
memory are those that real devices would have with the CPU's program.
"""

import argparse
import dataclasses
import functools
import math
import os
import re
import statistics
import sys
import time

from output import Output, add_switch

COLUMNS = (
    "scaling",
    "devices",
    "batch",
    "images/s",
    "efficiency",
    "GFLOP",
    "MiB accessed",
    "MiB sent",
    "waiting",
    "memory MiB",
)
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s64": 8, "u64": 8, "f64": 8}
_SHAPE = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\]")
# `= (types) all-reduce(...)`, and the first half of an asynchronous one.
_COLLECTIVE = re.compile(r"= (.*?) (all-reduce|all-gather)(?:-start)?\(")


def main(arguments=None):
    options = _options(arguments)
    if options.simulate:
        flag = f"--xla_force_host_platform_device_count={options.simulate}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
        os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    available = jax.local_device_count()
    counts = options.devices or [1 << i for i in range(available.bit_length())]
    if max(counts) > available or options.batch % max(counts):
        sys.exit(
            f"--devices: {max(counts)} given; allowed: up to {available} devices, which divide "
            f"--batch={options.batch}."
        )
    with Output(options.json) as output:
        device = jax.local_devices()[0]
        output.line(
            f"{options.config}, {available} x {device.device_kind}"
            f"{' (simulated)' if options.simulate else ''}, jax {jax.__version__}\n",
            config=options.config,
            device=device.device_kind,
            devices=available,
            simulated=bool(options.simulate),
            jax=jax.__version__,
        )
        output.line(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
        rows = measure(options, counts)
        for row in rows:
            output.row("rows", f"| {' | '.join(_cell(value) for value in row.values())} |", **row)
    if options.plot:
        plot(rows, options.plot)


def _options(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", default="configs/fdah.py", help="config, with its arguments")
    parser.add_argument("--devices", type=int, nargs="+", help="by default 1, 2, 4, ... of all")
    parser.add_argument("--batch", type=int, default=512, help="images of the largest batch")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="seconds of a turn, about")
    parser.add_argument("--simulate", type=int, help="simulate so many devices on the CPU")
    parser.add_argument("--plot", help="file of a plot of speed and work, such as scaling.svg")
    add_switch(parser)
    return parser.parse_args(arguments)


def measure(options, counts):
    """Returns the rows of the table, in the order of COLUMNS."""

    @functools.cache
    def step(count, batch):
        return Step(options.config, count, batch).measured(options)

    rows = []
    for scaling in ("strong", "weak"):
        whole = options.batch if scaling == "strong" else options.batch // max(counts)
        one = step(1, whole)
        for count in counts:
            batch = whole if scaling == "strong" else whole * count
            measured = step(count, batch)
            # One device on a share of the images has no collectives.
            alone = step(1, batch // count)
            speed = batch / measured.seconds
            rows.append(
                {
                    "scaling": scaling,
                    "devices": count,
                    "batch": batch,
                    "images_per_second": speed,
                    "efficiency": speed / count / (whole / one.seconds),
                    "gigaflop_per_device": measured.flops / 1e9,
                    "mebibytes_accessed_per_device": measured.accessed / 2**20,
                    "mebibytes_sent_per_device": measured.sent / 2**20,
                    "waiting": max(0.0, 1 - alone.seconds / measured.seconds),
                    "mebibytes_of_memory": measured.memory / 2**20,
                }
            )
    return rows


@dataclasses.dataclass(frozen=True)
class Measured:
    """A step's time, and what its compiled program has per device.

    Attributes:
      seconds: Median time of a step.
      flops: Floating-point operations.
      accessed: Bytes read and written.
      sent: Bytes sent by collectives.
      memory: Bytes of arguments and temporary memory.
    """

    seconds: float
    flops: float
    accessed: float
    sent: float
    memory: float


class Step:
    """The training step of a config on some devices, with random images."""

    def __init__(self, config, devices, batch):
        import numpy as np

        from jhash import experiment, parallel
        from jhash import train as training
        from jhash.commands import config_file
        from jhash.data import in_memory

        config = config_file.load(config)
        config.devices, config.batch_size = devices, batch
        config.eval_batch_size = batch
        rng = np.random.default_rng(0)
        side, channels = config.image.size, config.image.channels or 3
        images = rng.integers(0, 256, (batch + 1, side, side, channels), dtype=np.uint8)
        labels = np.arange(batch + 1) % (config.model.get("classes") or 10)
        data = in_memory.from_arrays((images[1:], labels[1:]), (images[:1], labels[:1]))
        config = in_memory.named(config, data)
        built = experiment.build(config, given=data)
        first = built.first()
        donate = (0, 1) if built.method.after_step or built.method.make_step else (0,)
        self._step = parallel.map_devices(training.make_step(built), donate)
        self._train_state = parallel.replicate(first["train_state"], devices)
        self._state = parallel.replicate(first["state"], devices)
        train = built.data.train[:batch]
        source = built.data.source
        share = {
            "images": source.images(train),
            "labels": source.labels[train],
            "index": np.asarray(train, np.int32),
        }
        self._batch = parallel.shard(share, devices)
        self._devices = devices

    def measured(self, options):
        """Returns what the compiled program has, and its time."""
        compiled = self._step.lower(self._train_state, self._state, self._batch).compile()
        cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
        return Measured(
            self._seconds(options),
            cost["flops"],
            cost["bytes accessed"],
            bytes_sent(compiled.as_text(), self._devices),
            memory.argument_size_in_bytes + memory.temp_size_in_bytes,
        )

    def _seconds(self, options):
        self._burst(1)
        count = max(1, int(options.seconds / self._burst(1)))
        return statistics.median(self._burst(count) for _ in range(options.turns))

    def _burst(self, count):
        import jax

        began = time.perf_counter()
        for _ in range(count):
            self._train_state, state, metrics = self._step(
                self._train_state, self._state, self._batch
            )
            self._state = self._state if state is None else state
        jax.block_until_ready((self._train_state, metrics))
        return (time.perf_counter() - began) / count


def bytes_sent(program, devices):
    """Adds up the bytes that a device sends on a ring, by the text of a compiled program.

    An all-reduce of n bytes sends 2 (D - 1) / D n, an all-gather to n bytes (D - 1) / D n.
    """
    total = 0.0
    for types, operation in _COLLECTIVE.findall(program):
        shapes = _SHAPE.findall(types)
        sizes = [_BYTES.get(kind, 4) * math.prod(_numbers(text)) for kind, text in shapes]
        if operation == "all-gather" and types.startswith("(") and len(sizes) == 2:
            sizes = [max(sizes)]  # An asynchronous one has its argument beside its result.
        total += (2 if operation == "all-reduce" else 1) * (devices - 1) / devices * sum(sizes)
    return total


def _numbers(text):
    return [int(number) for number in text.split(",") if number]


def _cell(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plot(rows, path):
    """Draws speed, and work per device relative to one device."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (speed, work) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for scaling in ("strong", "weak"):
        of_kind = [row for row in rows if row["scaling"] == scaling]
        counts = [row["devices"] for row in of_kind]
        rates = [row["images_per_second"] for row in of_kind]
        (line,) = speed.plot(counts, rates, "o-", label=scaling)
        ideal = [rates[0] / counts[0] * count for count in counts]
        speed.plot(counts, ideal, ":", color=line.get_color())
        for name, style in (
            ("gigaflop_per_device", "o-"),
            ("mebibytes_accessed_per_device", "s--"),
        ):
            values = [row[name] / of_kind[0][name] for row in of_kind]
            label = f"{scaling}, {'FLOP' if style == 'o-' else 'bytes'}"
            work.plot(counts, values, style, color=line.get_color(), label=label)
    speed.set(title="images per second (dotted: ideal)", xlabel="devices", ylim=0)
    work.set(title="work per device, relative to one", xlabel="devices", ylim=0)
    speed.legend()
    work.legend()
    figure.savefig(path)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
