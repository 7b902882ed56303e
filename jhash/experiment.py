"""What training and evaluation share: a config's data, method and network, built."""

import dataclasses
import sys
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from flax import linen as nn

from jhash import algorithms, data, models, optimizers, parallel, rng
from jhash.data import augment, batches
from jhash.errors import InputError
from jhash.models import vgg_f_weights
from jhash.state import TrainState

# Images over which the mean image is taken, at most; evenly spaced over the training set.
_MEAN_IMAGES = 10_000
# Fields that count something, and the most that they may be.
_COUNTS = {
    "bits": 512,
    "epochs": 10**6,
    "log_every": 10**9,
    "checkpoint_every": 10**6,
    "keep_checkpoints": 10**6,
}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config with everything built that it names; parameters are not part of it.

    Attributes:
      config: The config, frozen.
      method: The functions of the method.
      data: Source, training set, database and queries, as the method's `prepare` left them.
      extra: The method's pytree before the first epoch.
      model: The network.
      pretrained: Parameters that replace the random ones at the start, by name; may be empty.
      mean: The mean image that preprocessing subtracts, float32 [H, W, channels].
      optimizer: The optax optimiser.
      steps_per_epoch: Training steps of an epoch.
      devices: How many devices share a batch.
    """

    config: ml_collections.FrozenConfigDict
    method: algorithms.Method
    data: data.Data
    extra: Any
    model: Any
    pretrained: Any
    mean: np.ndarray
    optimizer: optax.GradientTransformation
    steps_per_epoch: int
    devices: int

    def epoch_indices(self, extra, epoch: int) -> np.ndarray:
        """The samples of an epoch, in order."""
        return _epoch_indices(self.config, self.method, self.data, extra, epoch)

    def initial_state(self) -> TrainState:
        """Parameters from `config.seed`, on the host."""

        def init(key):
            shape = (1, *self.data.source.image_shape)
            x = augment.eval_images(np.zeros(shape, np.uint8), self.mean, **self.config.image)
            return self.model.clone(axis_name=None).init(key, x, train=False)

        variables = jax.jit(init)(rng.stream(self.config.seed, "init"))
        params = variables["params"]
        if self.pretrained:
            params = vgg_f_weights.merge_pretrained(params, self.pretrained)
        state = TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=variables.get("batch_stats", {}),
            opt_state=self.optimizer.init(params),
        )
        return jax.device_get(state)


def build(config: ml_collections.FrozenConfigDict) -> Experiment:
    """Loads the data, prepares the method and defines network and optimiser.

    Raises:
      InputError: A field of the config is bad; the message names it.
    """
    devices = _training_devices(config)
    parallel.check_batch_size(config.eval_batch_size, devices, "config.eval_batch_size")
    method = algorithms.load(config.method.name, config.loss)
    for name, most in _COUNTS.items():
        # A method with `pretrain` needs no epoch, and one without a loss can have none.
        least = 0 if name == "epochs" and method.pretrain else 1
        most = most if method.loss or name != "epochs" else 0
        if not least <= config[name] <= most:
            raise InputError(f"config.{name}: {config[name]} given; allowed are {least} to {most}.")
    model = build_model(config)
    split = data.load_config(config.data)
    split, extra = method.prepare(config, split, rng.stream(config.seed, "prepare"))
    extra = jax.tree.map(jnp.asarray, extra)
    if config.weights:
        if config.image.scale != 1:
            raise InputError(
                f"config.image.scale: {config.image.scale} given with config.weights; the "
                "published weights are for bytes minus the mean image, so 1 is needed."
            )
        pretrained, mean = vgg_f_weights.load_vgg_f(config.weights)
    else:
        pretrained, mean = {}, _mean_image(split, config.get("mean"))
    first = _epoch_indices(config, method, split, extra, 0)
    if not len(first):
        raise InputError(f"config.method.name: {config.method.name} chose no sample to train on.")
    steps_per_epoch = len(batches.split(first, config.batch_size))
    rate = optimizers.schedule(config.optimizer, config.epochs * steps_per_epoch, steps_per_epoch)
    optimizer = optimizers.build(config.optimizer, rate)
    return Experiment(
        config, method, split, extra, model, pretrained, mean, optimizer, steps_per_epoch, devices
    )


def build_model(config: ml_collections.FrozenConfigDict) -> nn.Module:
    """The network that the config names, without parameters."""
    fields = dict(config.model)
    return models.build(fields.pop("name"), config.bits, axis_name=parallel.AXIS, **fields)


def _training_devices(config):
    # Runs of an earlier version lack the field.
    devices = parallel.training_devices(config.batch_size, config.get("idle_devices", False))
    if devices < parallel.device_count():
        print(
            f"jhash: {devices} of {parallel.device_count()} devices are used; more cannot share "
            f"config.batch_size {config.batch_size} equally.",
            file=sys.stderr,
        )
    return devices


def _epoch_indices(config, method, split, extra, epoch):
    key = rng.stream(config.seed, "epoch", epoch)
    return method.begin_epoch(config, split, extra, epoch, key)


def _mean_image(split, constant):
    if constant is not None:
        return np.full(split.source.image_shape, constant, np.float32)
    spaced = np.linspace(0, len(split.train) - 1, min(len(split.train), _MEAN_IMAGES))
    chosen = split.train[spaced.astype(np.int64)]
    chunks = np.array_split(chosen, -(-len(chosen) // 500))
    return augment.mean_image(split.source.images(chunk) for chunk in chunks)
