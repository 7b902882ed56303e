"""From images of an experiment's source to the model's outputs."""

import jax
import numpy as np

from jhash.data import batches
from jhash.encoding.forward import build_forward
from jhash.experiment import Experiment


class SourceEncoder:
    """Encodes images of the experiment's source, on its devices.

    Called with (train_state, indices): the former replicated, the latter int [N] of images of the
    source. Gives the model's outputs as NumPy arrays, in the order of the indices.
    """

    def __init__(self, experiment: Experiment):
        """Compiles nothing yet; the first call does."""
        config = experiment.config
        self._source, self._size = experiment.data.source, config.eval_batch_size
        self._forward = build_forward(
            config.image, experiment.model, experiment.mean, experiment.devices
        )

    def __call__(self, train_state, indices):
        """See the class."""
        orders = batches.batch_indices(indices, self._size)
        parts = [
            self._forward(train_state.variables, batch["images"])
            for batch in batches.prefetch(self._source, orders)
        ]
        parts = jax.device_get(parts)
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(indices)], *parts)
