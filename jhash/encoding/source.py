"""From the images of an experiment's source to the outputs of its model."""

import functools
import time

import jax
import numpy as np

from jhash import parallel
from jhash.data import batches
from jhash.encoding import kept_features
from jhash.encoding.forward import build_forward
from jhash.experiment import Experiment
from jhash.runs import paths

# So many batches are timed where the outputs themselves come from features that are kept.
_TIMED = 4


class SourceEncoder:
    """Computes a model's outputs, not packed codes, for images of an experiment's source.

    The outputs come from features that are kept, where there are any; see `kept_features`.

    Attributes:
      training_source: What a training step reads: the source, or features in place of its images.
    """

    def __init__(self, experiment: Experiment, workdir: str | None = None):
        """Prepares the forward pass, which the first call compiles.

        Args:
          experiment: The experiment.
          workdir: Folder of the run, which may keep features; None if there is none.
        """
        config = experiment.config
        self._source = experiment.data.source
        self._size = config.eval_batch_size
        self._workers = config.data.get("workers", 0)
        self._build = functools.partial(
            build_forward, model=experiment.model, mean=experiment.mean, devices=experiment.devices
        )
        self._image = config.image
        self._forward = self._build(config.image)
        self._of_features = None
        self.training_source = self._source
        if workdir and kept_features.usable(experiment):
            self._of_features = kept_features.FeatureEncoder(experiment, paths.pretrain(workdir))
            if kept_features.trainable(experiment):
                self.training_source = self._of_features.source

    def __call__(self, train_state, indices):
        """Computes the outputs for images of the source.

        Args:
          train_state: TrainState, replicated over the devices.
          indices: Indices of images in the source, int [N].

        Returns:
          The outputs of the model as NumPy arrays [N, ...], in the order of the indices.
        """
        if self._of_features:
            return self._of_features(train_state, indices)
        return self._of_images(train_state, indices)

    def of_one_view(self, train_state, indices):
        """Computes the outputs of the images alone, whatever `config.image.mirror` says.

        Args:
          train_state: As for a call.
          indices: As for a call.

        Returns:
          As a call.
        """
        if self._image.get("mirror", False):
            return self._of_images(train_state, indices, self._plain)
        return self(train_state, indices)

    def timed(self, train_state, indices):
        """Computes the outputs, and times the way from an image to its outputs.

        Args:
          train_state: As for a call.
          indices: As for a call.

        Returns:
          (outputs, seconds per image). The program has been compiled before the clock starts, if
          the encoder was called before or the outputs come from features. In the latter case a few
          batches of the images are encoded for the time alone.
        """
        timed = indices
        if self._of_features:
            timed = indices[: _TIMED * self._size]
            self._of_images(train_state, timed[: self._size])
        began = time.perf_counter()
        outputs = self._of_images(train_state, timed)
        seconds = (time.perf_counter() - began) / len(timed)
        if self._of_features:
            outputs = self._of_features(train_state, indices)
        return outputs, seconds

    @functools.cached_property
    def _plain(self):
        return self._build({**self._image, "mirror": False})

    def _of_images(self, train_state, indices, forward=None):
        forward = forward or self._forward
        orders = batches.batch_indices(indices, self._size)
        read = batches.prefetch(self._source, parallel.share(orders, axis=1), workers=self._workers)
        outputs = [forward(train_state.variables, batch["images"]) for batch in read]
        outputs = jax.device_get(outputs)
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(indices)], *outputs)
