"""The outputs of a model from features that are kept, without the backbone that computed them.

Two kinds of models compute the same features of an image from the first epoch to the last:
`FeatureHash`, which shallow methods fit, and `FineTuned` with a backbone whose rate is 0. Their
features are computed once per image, and a sweep shares them among its runs. `FineTuned` is also
trained on them, unless an augmentation changes the images.

Both models compute features and outputs in two parts that share nothing, so that the outputs are
the same as those of the whole model, bit for bit where the features are (measured on CPUs).

Shapes in names: N images, B images of a batch, z features.
"""

import functools

import jax
import ml_collections
import numpy as np

from jhash import parallel
from jhash.data import augment, batches
from jhash.experiment import Experiment
from jhash.models.feature_hash import FeatureHash
from jhash.models.fine_tuned import FineTuned
from jhash.models.heads import WithHead
from jhash.optimizers import parts
from jhash.pretrained import features

# The fields of the backbone's input in `config.image`, beside the mean and the crop.
_INPUT = ("size", "scale", "channels")
# Number of images at a time of a backbone whose config names none: a multiple of most numbers of
# devices.
_BATCH = 64


def usable(experiment: Experiment) -> bool:
    """Tells if the model computes the very features that are kept.

    They are others if `config.image` and `config.method.features` say different things of the
    backbone's input, or if the backbone is trained.

    Args:
      experiment: The experiment.
    """
    fields, image = _fields(experiment), experiment.config.image
    if fields is None or image.crop is not None or image.get("mirror", False):
        return False
    if isinstance(_model(experiment), FineTuned):
        return True  # `experiment.build` has compared scale and mean with those of the weights.
    kept = features.extractor(fields).image
    if kept is None:
        return False
    same = all(image[name] == kept[name] for name in _INPUT)
    return same and bool(np.all(experiment.mean == kept["mean"]))


def trainable(experiment: Experiment) -> bool:
    """Tells if a training step may have features in place of images; see `usable`.

    Args:
      experiment: The experiment.
    """
    fine_tuned = isinstance(_model(experiment), FineTuned)
    return fine_tuned and augment.is_identity(experiment.config.augment) and usable(experiment)


def _model(experiment):
    model = experiment.model
    return model.model if isinstance(model, WithHead) else model


def _fields(experiment):
    """Returns the fields of `features.load` for a model's backbone; None if they would change."""
    config, model = experiment.config, _model(experiment)
    if isinstance(model, FeatureHash):
        return config.method.features
    if not isinstance(model, FineTuned) or model.dtype != "float32" or not config.weights:
        return None
    loaded = experiment.weights.params
    loaded = {"model": loaded} if isinstance(experiment.model, WithHead) else loaded
    rates = parts.factors(config.optimizer.rates, loaded)
    if any(jax.tree.leaves(rates)) or config.get("init_from", ""):
        return None
    devices = parallel.device_count()
    return ml_collections.FrozenConfigDict(
        {
            "name": model.backbone,
            "weights": "" if config.weights == "published" else config.weights,
            "size": config.image.size,
            "channels": config.image.channels,
            "batch": -(-_BATCH // devices) * devices,
            "file": "",
        }
    )


class FeatureSource:
    """Images of a source as the features of a backbone: what `data.batches.prefetch` reads."""

    def __init__(self, experiment: Experiment, folder: str):
        """Computes features of the images that an experiment uses, or reads those that are kept.

        Args:
          experiment: The experiment, for which `usable` holds.
          folder: Folder that keeps features; see `features.load`.
        """
        data, workers = experiment.data, experiment.config.data.get("workers", 0)
        used = np.unique(np.concatenate([data.train, data.database, data.queries, data.validation]))
        # Now, as a batch is read by another thread, which knows of no folder that runs share.
        self._features = features.load(_fields(experiment), data.source, used, folder, workers)
        self._rows = np.zeros(len(data.source), np.int64)
        self._rows[used] = np.arange(len(used))
        self.labels = data.source.labels

    def images(self, indices: np.ndarray) -> np.ndarray:
        """Returns the features of images, float32 [N, z].

        Args:
          indices: Indices of images in the source, int [N].
        """
        return self._features[self._rows[indices]]


class FeatureEncoder:
    """Computes the outputs of a model for images of an experiment's source from their features."""

    def __init__(self, experiment: Experiment, folder: str):
        """Prepares the second part of the model.

        Args:
          experiment: The experiment, for which `usable` holds.
          folder: Folder that keeps features; see `features.load`.
        """
        config, model = experiment.config, experiment.model
        self.source = None
        if isinstance(model, FeatureHash):
            # Its fit has those of the training images alone.
            self._load = lambda indices: features.load(
                config.method.features,
                experiment.data.source,
                indices,
                folder,
                config.data.get("workers", 0),
            )
            apply = functools.partial(model.apply, method="of_features")
        else:
            self.source = FeatureSource(experiment, folder)
            self._load = self.source.images
            apply = functools.partial(model.apply, train=False)
        self._size = config.eval_batch_size
        self._forward = parallel.map_batch(apply, experiment.devices)

    def __call__(self, train_state, indices: np.ndarray) -> np.ndarray:
        """Computes the outputs of the model, arrays [N, ...].

        Args:
          train_state: TrainState, replicated over the devices.
          indices: Indices of images in the source, int [N].
        """
        v_Nxz = self._load(indices)
        orders = parallel.share(batches.batch_indices(np.arange(len(indices)), self._size), axis=1)
        outputs = [self._forward(train_state.variables, v_Nxz[order]) for order in orders]
        outputs = jax.device_get(outputs)
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(indices)], *outputs)
