"""An experiment: a config with everything built that it names, phase by phase.

`build` checks the config, opens the data, prepares the method, and makes model and optimizer.
"""

import dataclasses
import sys
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from flax import linen as nn

from jhash import data, methods, models, optimizers, parallel, pretrained, rng
from jhash.data import batches, preprocess
from jhash.errors import InputError, in_config
from jhash.models.heads import WithHead

# Images over which the mean image is taken, at most; evenly spaced over the training set.
_MEAN_IMAGES = 10_000
# Fields that count something, and their largest allowed value.
_COUNTS = {
    "bits": 512,
    "epochs": 10**6,
    "log_every": 10**9,
    "checkpoint_every": 10**6,
    "keep_checkpoints": 10**6,
}


class TrainState(flax.struct.PyTreeNode):
    """What a training step changes: parameters, BatchNorm statistics, the optimizer's state.

    `step` is the number of steps done, int32.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What a flax module is applied with."""
        return {"params": self.params, "batch_stats": self.batch_stats}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config with everything built that it names; parameters are not part of it.

    Attributes:
      config: The config, frozen.
      method: The functions of the method.
      data: Source, training set, database and query images, as the method's `prepare` left them.
      state: The method's state before the first epoch.
      model: The model, with the method's head behind it if there is one.
      weights: Published weights with which the model starts, or None.
      mean: The mean image that preprocessing subtracts, float32 [H, W, channels].
      optimizer: The optax optimizer.
      steps_per_epoch: Training steps of an epoch.
      devices: How many devices share a batch.
    """

    config: ml_collections.FrozenConfigDict
    method: methods.Method
    data: data.Data
    state: Any
    model: nn.Module
    weights: pretrained.Weights | None
    mean: np.ndarray
    optimizer: optax.GradientTransformation
    steps_per_epoch: int
    devices: int

    def epoch_indices(self, state, epoch: int) -> np.ndarray:
        """The samples of an epoch, in order."""
        return _epoch_indices(self.config, self.method, self.data, state, epoch)

    def first(self) -> dict[str, Any]:
        """What a checkpoint holds, as it is before the first epoch.

        Returns:
          {"train_state": TrainState, "state": the method's, "seconds": of training so far}, on the
          host. Parameters are drawn from `config.seed`.
        """
        variables = jax.jit(self._init)(rng.stream(self.config.seed, "init"))
        params = variables.get("params", {})  # A model may have none of its own.
        if self.weights:
            params = _merge(params, self.weights.params)
        if self.method.initialize:
            params = self.method.initialize(self.config, self.data, params)
        train_state = TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=variables.get("batch_stats", {}),
            opt_state=self.optimizer.init(params),
        )
        first = {"train_state": train_state, "state": self.state, "seconds": np.zeros(())}
        return jax.device_get(first)

    def _init(self, key):
        shape = (1, *self.data.source.image_shape)
        x = preprocess.eval_images(np.zeros(shape, np.uint8), self.mean, **self.config.image)
        return models.without_axis(self.model).init(key, x, train=False)


def build(config: ml_collections.FrozenConfigDict) -> Experiment:
    """Builds everything that a config names.

    Raises:
      InputError: A field of the config is bad; the message names it.
    """
    method = methods.load(config.method.name, config.loss)
    devices = _check(config, method)
    model = build_model(config)
    split, state = _prepare(config, method)
    model = with_head(model, method, config, split)
    weights, mean = _weights(config, split)
    optimizer, steps_per_epoch = _optimizer(config, method, split, state)
    return Experiment(
        config,
        method,
        split,
        state,
        model,
        weights,
        mean,
        optimizer,
        steps_per_epoch,
        devices,
    )


def build_model(config: ml_collections.FrozenConfigDict) -> nn.Module:
    """The model that a config names, without parameters and without a head."""
    fields = dict(config.model)
    with in_config({"name": "config.model.name", "bits": "config.bits", "fields": "config.model"}):
        return models.build(fields.pop("name"), config.bits, axis_name=parallel.AXIS, **fields)


def with_head(model: nn.Module, method: methods.Method, config, data) -> nn.Module:
    """The model with the method's head behind it, if there is one; `data` as `head` asks of it."""
    head = method.head(config, data)
    return model if head is None else WithHead(model, head)


def _check(config, method):
    """Checks counts and batch sizes; gives the number of devices that train."""
    with in_config("config."):
        devices = parallel.training_devices(config.batch_size, config.idle_devices)
        parallel.check_batch_size("eval_batch_size", config.eval_batch_size, devices)
    if devices < parallel.device_count():
        print(
            f"jhash: {devices} of {parallel.device_count()} devices are used; more cannot share "
            f"config.batch_size {config.batch_size} equally.",
            file=sys.stderr,
        )
    learns = bool(method.loss or method.make_step)
    for name, largest in _COUNTS.items():
        # A method with `pretrain` needs no epoch, and one that does not learn can have none.
        smallest = 0 if name == "epochs" and method.pretrain else 1
        largest = 0 if name == "epochs" and not learns else largest
        if not smallest <= config[name] <= largest:
            raise InputError(
                f"config.{name}: {config[name]} given; allowed: {smallest} to {largest}."
            )
    if config.augment.views < 1:
        raise InputError(
            f"config.augment.views: {config.augment.views} given; allowed: 1 and more."
        )
    return devices


def _prepare(config, method):
    """The data, and the method's first state."""
    split, state = method.prepare(
        config, data.load_config(config.data), rng.stream(config.seed, "prepare")
    )
    return split, jax.tree.map(jnp.asarray, state)


def _weights(config, split):
    """Published weights, or None, and the mean image."""
    if not config.weights:
        return None, _mean_image(split, config.mean)
    weights = pretrained.load(config.model.name, config.weights)
    if config.image.scale != weights.scale:
        raise InputError(
            f"config.image.scale: {config.image.scale} given with config.weights; allowed: "
            f"{weights.scale:g}, for which the published weights are made."
        )
    return weights, np.asarray(weights.mean, np.float32)


def _merge(params, loaded):
    if "model" in params and "head" in params:
        return {**params, "model": pretrained.merge(params["model"], loaded)}
    return pretrained.merge(params, loaded)


def _optimizer(config, method, split, state):
    """The optimizer, and the steps of an epoch, on which its schedule depends."""
    first = _epoch_indices(config, method, split, state, 0)
    if not len(first):
        raise InputError(f"config.method.name: {config.method.name} chose no sample to train on.")
    steps = len(batches.batch_indices(first, config.batch_size))
    rate = optimizers.schedule(config.optimizer, config.epochs * steps, steps)
    return optimizers.build(config.optimizer, rate), steps


def _epoch_indices(config, method, split, state, epoch):
    key = rng.stream(config.seed, "epoch", epoch)
    return method.begin_epoch(config, split, state, epoch, key)


def _mean_image(split, constant):
    if constant is not None:
        return np.full(split.source.image_shape, constant, np.float32)
    spaced = np.linspace(0, len(split.train) - 1, min(len(split.train), _MEAN_IMAGES))
    chosen = split.train[spaced.astype(np.int64)]
    chunks = np.array_split(chosen, -(-len(chosen) // 500))
    return preprocess.mean_image(split.source.images(chunk) for chunk in chunks)
