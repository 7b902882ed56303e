"""From the images of an experiment's source to the outputs of its model."""

import jax
import numpy as np

from jhash import parallel
from jhash.data import batches
from jhash.encoding.forward import build_forward
from jhash.experiment import Experiment


class SourceEncoder:
    """Computes a model's outputs, not packed codes, for images of an experiment's source."""

    def __init__(self, experiment: Experiment):
        """Prepares the forward pass, which the first call compiles."""
        config = experiment.config
        self._source = experiment.data.source
        self._size = config.eval_batch_size
        self._workers = config.data.get("workers", 0)
        self._forward = build_forward(
            config.image, experiment.model, experiment.mean, experiment.devices
        )

    def __call__(self, train_state, indices):
        """Computes the outputs for images of the source.

        Args:
          train_state: TrainState, replicated over the devices.
          indices: Indices of images in the source, int [N].

        Returns:
          The outputs of the model as NumPy arrays [N, ...], in the order of the indices.
        """
        orders = batches.batch_indices(indices, self._size)
        read = batches.prefetch(self._source, parallel.share(orders, axis=1), workers=self._workers)
        outputs = [self._forward(train_state.variables, batch["images"]) for batch in read]
        outputs = jax.device_get(outputs)
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(indices)], *outputs)
