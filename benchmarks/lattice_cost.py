"""What an exact inverse costs a trained AIHN: MAP and time by the lattice.

    python benchmarks/lattice_cost.py --run=RUN     # RUN: a run with an invertible network

The network as trained, evaluated with values rounded to multiples of 2^-lattice: MAP of the queries
against the database, both encoded that way; images of either that left the range; queries of which
the inverse makes every bit of the network's input again, and the largest difference from that
input; the time of a batch's encoding against that without a lattice, median of paired turns.
"""

import argparse
import os
import statistics
import time

import jax
import numpy as np

from jhash import experiment, retrieval
from jhash.data import augment, batches
from jhash.models.layers import coupling
from jhash.runs import workdirs
from jhash.runs.checkpoints import Checkpoints
from jhash.system import malloc


def main():
    """Prints the table."""
    malloc.keep_freed()
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", required=True)
    parser.add_argument("--lattices", type=int, nargs="+", default=[20, 16, 12, 8, 6, 4, 2])
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--images", type=int, default=1000, help="queries that are inverted")
    arguments = parser.parse_args()
    run = experiment.build(workdirs.load(arguments.run))
    with Checkpoints(os.path.join(arguments.run, "checkpoints")) as checkpoints:
        state = checkpoints.restore(run.first())["state"]
    variables = jax.device_put({"params": state.params, "batch_stats": state.batch_stats})
    sides = {lattice: Side(run, variables, lattice) for lattice in (None, *arguments.lattices)}
    print(f"{arguments.run}: {run.config.bits} bits, stages {run.config.model.stages}")
    print("lattice     MAP  out of range  every bit back  largest difference  time")
    for lattice, side in sides.items():
        ratios = [side.seconds() / sides[None].seconds() for _ in range(arguments.turns)]
        equal, difference = side.invert(arguments.images)
        print(
            f"{lattice!s:>7}  {side.mean_average_precision():.4f}  {side.lost:12}  "
            f"{equal:6} of {arguments.images}  {difference:18.1e}  "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
            flush=True,
        )


class Side:
    """The network on one lattice."""

    def __init__(self, run, variables, lattice):
        """Compiles nothing yet."""
        self._run, self._variables, self.lost = run, variables, 0
        self._model = run.model.clone(axis_name=None, lattice=lattice)

        def forward(variables, images):
            return self._model.apply(variables, self._inputs(images), train=False)

        self._forward = jax.jit(forward)

    def mean_average_precision(self):
        data = self._run.data
        queries, database = (self._encode(part) for part in (data.queries, data.database))
        labels = data.labels(data.queries), data.labels(data.database)
        bits = self._run.config.bits
        return retrieval.mean_average_precision(queries, database, *labels, bits)

    def invert(self, count):
        """Images that come back bit for bit, and the largest difference of the others."""
        images = self._run.data.source.images(self._run.data.queries[:count])
        x = self._inputs(images)
        features = self._model.apply(self._variables, x, train=False, method="features")
        found = self._model.apply(self._variables, features, train=False, method="inverse")
        x = np.asarray(coupling.snap(x, self._model.lattice))
        found = np.asarray(found)
        equal = (x.view(np.uint32) == found.view(np.uint32)).all((1, 2, 3))
        return equal.sum(), np.nanmax(np.abs(x - found))

    def seconds(self):
        images = self._run.data.source.images(self._run.data.queries[:500])
        jax.block_until_ready(self._forward(self._variables, images))
        began = time.perf_counter()
        jax.block_until_ready(self._forward(self._variables, images))
        return time.perf_counter() - began

    def _inputs(self, images):
        return augment.eval_images(images, self._run.mean, **self._run.config.image)

    def _encode(self, indices):
        parts = []
        orders = batches.batch_indices(indices, 500)
        for batch in batches.prefetch(self._run.data.source, orders):
            parts.append(np.asarray(self._forward(self._variables, batch["images"])))
        outputs = np.concatenate(parts)[: len(indices)]
        self.lost += int((~np.isfinite(outputs)).any(1).sum())
        return np.asarray(retrieval.pack_codes(np.nan_to_num(outputs)))


if __name__ == "__main__":
    main()
