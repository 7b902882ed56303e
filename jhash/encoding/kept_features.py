"""The outputs of a shallow method from features that are kept, without its backbone.

The fit has computed the features of the training set, and a sweep shares those of all images among
its runs. `FeatureHash` computes features and outputs in two parts that share nothing, so that the
outputs are the same as those of the whole model, bit for bit where the features are (measured on
CPUs).
"""

import jax
import numpy as np

from jhash import parallel
from jhash.data import batches
from jhash.experiment import Experiment
from jhash.models.feature_hash import FeatureHash
from jhash.pretrained import features

# The fields of the backbone's input in `config.image`, beside the mean and the crop.
_INPUT = ("size", "scale", "channels")


def usable(experiment: Experiment) -> bool:
    """Tells if the model computes the very features that its method was fitted to.

    They are others if `config.image` and `config.method.features` say different things of the
    backbone's input.

    Args:
      experiment: The experiment.
    """
    if not isinstance(experiment.model, FeatureHash):
        return False
    fitted = features.extractor(experiment.config.method.features).image
    image = experiment.config.image
    if fitted is None or image.crop is not None or image.get("mirror", False):
        return False
    same = all(image[name] == fitted[name] for name in _INPUT)
    return same and bool(np.all(experiment.mean == fitted["mean"]))


class FeatureEncoder:
    """Computes the outputs of a `FeatureHash` for images of an experiment's source."""

    def __init__(self, experiment: Experiment, folder: str):
        """Prepares the second part of the model.

        Args:
          experiment: The experiment, for which `usable` holds.
          folder: Folder that keeps features; see `features.load`.
        """
        config, model = experiment.config, experiment.model
        self._load = lambda indices: features.load(
            config.method.features,
            experiment.data.source,
            indices,
            folder,
            config.data.get("workers", 0),
        )
        self._size = config.eval_batch_size
        self._forward = parallel.map_batch(
            lambda variables, v_Bxz: model.apply(variables, v_Bxz, method="of_features"),
            experiment.devices,
        )

    def __call__(self, train_state, indices: np.ndarray) -> np.ndarray:
        """Computes the outputs, float32 [N, bits].

        Args:
          train_state: TrainState, replicated over the devices.
          indices: Indices of images in the source, int [N].
        """
        v_Nxz = self._load(indices)
        orders = parallel.share(batches.batch_indices(np.arange(len(indices)), self._size), axis=1)
        outputs = [self._forward(train_state.variables, v_Nxz[order]) for order in orders]
        return np.concatenate(jax.device_get(outputs))[: len(indices)]
