"""Measures the cost of an exact inverse to a trained AIHN: MAP and time by the lattice.

    python benchmarks/lattice_cost.py --run=RUN [--json]     # RUN: a run with an invertible model

The trained model is evaluated with values rounded to multiples of 2^-lattice. The table has MAP of
the queries against the database, both encoded in this way; the number of their images that left the
range; the number of queries for which the inverse gives every bit of the model's input, and the
largest difference from that input; and the time of encoding a batch relative to that without a
lattice, as the median of paired turns with the smallest and the largest.
"""

import argparse
import statistics
import time

import jax
import numpy as np
from output import Output, add_switch

from jhash import experiment, retrieval
from jhash.data import batches, preprocess
from jhash.models.layers import coupling
from jhash.runs import paths, workdirs
from jhash.runs.checkpoints import Checkpoints
from jhash.system import malloc


def main():
    malloc.keep_freed()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", required=True)
    parser.add_argument("--lattices", type=int, nargs="+", default=[20, 16, 12, 8, 6, 4, 2])
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--images", type=int, default=1000, help="queries that are inverted")
    add_switch(parser)
    arguments = parser.parse_args()
    run = experiment.build(workdirs.load(arguments.run))
    with Checkpoints(paths.checkpoints(arguments.run)) as checkpoints:
        variables = checkpoints.restore(run.first())["train_state"].variables
    variables = jax.device_put(variables)
    sides = {lattice: Side(run, variables, lattice) for lattice in (None, *arguments.lattices)}
    bits = run.config.bits
    stages = run.config.model.stages
    with Output(arguments.json) as output:
        output.line(f"{arguments.run}: {bits} bits, stages {stages}", bits=bits, stages=stages)
        output.line("lattice     MAP  out of range  every bit back  largest difference  time")
        for lattice, side in sides.items():
            ratios = [side.seconds() / sides[None].seconds() for _ in range(arguments.turns)]
            equal, inverted, difference = side.invert(arguments.images)
            score = side.mean_average_precision()
            middle = statistics.median(ratios)
            output.row(
                "lattices",
                f"{lattice!s:>7}  {score:.4f}  {side.lost:12}  {equal:6} of {inverted}  "
                f"{difference:18.1e}  {middle:.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
                lattice=lattice,
                map=score,
                out_of_range=side.lost,
                every_bit_back=equal,
                inverted=inverted,
                largest_difference=difference,
                time_ratio=middle,
                time_ratio_range=(min(ratios), max(ratios)),
            )


class Side:
    """The model on one lattice."""

    def __init__(self, run, variables, lattice):
        self._run, self._variables, self.lost = run, variables, 0
        self._model = run.model.clone(axis_name=None, lattice=lattice)

        def forward(variables, images):
            return self._model.apply(variables, self._inputs(images), train=False)

        self._forward = jax.jit(forward)

    def mean_average_precision(self):
        data = self._run.data
        queries = self._encode(data.queries)
        database = self._encode(data.database)
        labels = data.labels(data.queries), data.labels(data.database)
        bits = self._run.config.bits
        return retrieval.mean_average_precision(queries, database, *labels, bits)

    def invert(self, count):
        """Inverts the first queries.

        Returns:
          (images that come back bit for bit, images, largest difference).
        """
        images = self._run.data.source.images(self._run.data.queries[:count])
        x = self._inputs(images)
        features = self._model.apply(self._variables, x, train=False, method="features")
        inverse = self._model.apply(self._variables, features, train=False, method="inverse")
        x = np.asarray(coupling.snap(x, self._model.lattice))
        inverse = np.asarray(inverse)
        equal = (x.view(np.uint32) == inverse.view(np.uint32)).all((1, 2, 3))
        return equal.sum(), len(x), np.nanmax(np.abs(x - inverse))

    def seconds(self):
        images = self._run.data.source.images(self._run.data.queries[:500])
        jax.block_until_ready(self._forward(self._variables, images))
        began = time.perf_counter()
        jax.block_until_ready(self._forward(self._variables, images))
        return time.perf_counter() - began

    def _inputs(self, images):
        return preprocess.eval_images(images, self._run.mean, **self._run.config.image)

    def _encode(self, indices):
        outputs = []
        orders = batches.batch_indices(indices, 500)
        for batch in batches.prefetch(self._run.data.source, orders):
            outputs.append(np.asarray(self._forward(self._variables, batch["images"])))
        outputs = np.concatenate(outputs)[: len(indices)]
        self.lost += int((~np.isfinite(outputs)).any(1).sum())
        return np.asarray(retrieval.pack_codes(np.nan_to_num(outputs)))


if __name__ == "__main__":
    main()
