"""An experiment: a config together with everything that it names, built.

`build` works in phases: it loads the method, checks the config, makes the model, loads and prepares
the data, and makes the optimizer.
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

# Fields that every config has; `configs/common.py` describes them.
_FIELDS = """
    seed bits loss weights mean epochs batch_size eval_batch_size idle_devices log_every
    checkpoint_every keep_checkpoints method.name model.name metrics
    data.source data.split data.seed data.options image.size image.scale image.crop image.channels
    augment.pad augment.flip augment.views optimizer.name optimizer.learning_rate
    optimizer.weight_decay optimizer.schedule optimizer.warmup optimizer.decay
    optimizer.decay_epochs optimizer.arguments
"""
# The max number of images in the mean image; they are evenly spaced over the training set.
_MEAN_IMAGES = 10_000
# Fields that count something, and the max allowed value of each.
_COUNTS = {
    "bits": 512,
    "epochs": 10**6,
    "log_every": 10**9,
    "checkpoint_every": 10**6,
    "keep_checkpoints": 10**6,
}


class TrainState(flax.struct.PyTreeNode):
    """What a training step changes in a model and its optimizer.

    Attributes:
      step: Number of steps done, int32.
      params: Parameters of the model.
      batch_stats: BatchNorm statistics of the model.
      opt_state: State of the optimizer.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """The variables with which the model is applied."""
        return {"params": self.params, "batch_stats": self.batch_stats}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config together with everything that it names, built; it holds no parameters.

    Attributes:
      config: The config, frozen.
      method: The functions of the method.
      data: Source, training set, database and query images, as the method's `prepare` left them.
      state: State of the method before the first epoch.
      model: The model, followed by the method's head if it has one.
      weights: Published weights with which the model starts, or None.
      mean: The mean image that preprocessing subtracts, float32 [H, W, channels].
      optimizer: The optax optimizer.
      steps_per_epoch: Number of training steps per epoch.
      devices: Number of devices that share a batch.
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
        """Returns the samples of an epoch in order, as indices into the source."""
        return _epoch_indices(self.config, self.method, self.data, state, epoch)

    def first(self) -> dict[str, Any]:
        """Makes the content of a checkpoint as it is before the first epoch.

        Returns:
          {"train_state": TrainState, "state": state of the method, "seconds": time of training so
          far}, on the host. Parameters are drawn from `config.seed`.
        """
        variables = jax.jit(self._init)(rng.stream(self.config.seed, "init"))
        params = variables.get("params", {})  # A model without parameters has no such entry.
        if self.weights:
            params = self._start_from(self.weights.params, params)
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

    def _start_from(self, loaded, params):
        """Replaces the model's parameters by published ones; those of a head stay."""
        with in_config({"loaded": "config.weights"}):
            if isinstance(self.model, WithHead):
                return {**params, "model": pretrained.merge(params["model"], loaded)}
            return pretrained.merge(params, loaded)

    def _init(self, key):
        shape = (1, *self.data.source.image_shape)
        x = preprocess.eval_images(np.zeros(shape, np.uint8), self.mean, **self.config.image)
        return models.without_axis(self.model).init(key, x, train=False)


def build(config: ml_collections.FrozenConfigDict) -> Experiment:
    """Builds everything that a config names.

    Raises:
      InputError: A field of the config is not allowed; the message names it.
    """
    _check_fields(config)
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
    """Builds the model that a config names, without a head."""
    fields = dict(config.model)
    with in_config({"name": "config.model.name", "bits": "config.bits", "fields": "config.model"}):
        return models.build(fields.pop("name"), config.bits, axis_name=parallel.AXIS, **fields)


def with_head(model: nn.Module, method: methods.Method, config, data) -> nn.Module:
    """Puts the method's head behind a model, if the method has one.

    Args:
      model: The model.
      method: The method.
      config: The config.
      data: A `Data`, or anything else with its `num_classes` and `multi_label`.

    Returns:
      The model, with the head if there is one.
    """
    head = method.head(config, data)
    return model if head is None else WithHead(model, head)


def _check_fields(config):
    """Checks that no field is missing, as in a config of another version of jhash."""
    for field in _FIELDS.split():
        group, _, name = field.rpartition(".")
        if name not in (config.get(group, {}) if group else config):
            raise InputError(
                f"config.{field}: none given; allowed: configs with this field, such as those that "
                "begin with configs.common.base. Another version of jhash may have made this one."
            )


def _check(config, method):
    """Checks counts and batch sizes, and returns the number of devices that train."""
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
        # A method with `pretrain` needs no epochs, and one without a step cannot have any.
        smallest = 0 if name == "epochs" and method.pretrain else 1
        largest = 0 if name == "epochs" and not learns else largest
        if not smallest <= config[name] <= largest:
            raise InputError(
                f"config.{name}: {config[name]} given; allowed: "
                + (f"{smallest} to {largest}." if smallest < largest else f"{largest}.")
            )
    if config.augment.views < 1:
        raise InputError(f"config.augment.views: {config.augment.views} given; allowed: 1 or more.")
    return devices


def _prepare(config, method):
    """Loads the data, and returns data and state as the method prepares them."""
    split, state = method.prepare(
        config, data.load_config(config.data), rng.stream(config.seed, "prepare")
    )
    return split, jax.tree.map(jnp.asarray, state)


def _weights(config, split):
    """Returns the published weights, or None, and the mean image."""
    if not config.weights:
        return None, _mean_image(split, config.mean)
    with in_config({"path": "config.weights"}):
        weights = pretrained.load(config.model.name, config.weights)
    if config.image.scale != weights.scale:
        raise InputError(
            f"config.image.scale: {config.image.scale} given with config.weights; allowed: "
            f"{weights.scale:g}, with which the published weights were trained."
        )
    return weights, np.asarray(weights.mean, np.float32)


def _optimizer(config, method, split, state):
    """Builds the optimizer, and counts the steps of an epoch, on which its schedule depends."""
    indices = _epoch_indices(config, method, split, state, 0)
    if not len(indices):
        raise InputError(
            f"config.method.name: {config.method.name!r} given, whose begin_epoch returned no "
            "sample; allowed: methods that return at least one."
        )
    steps = len(batches.batch_indices(indices, config.batch_size))
    rate = optimizers.schedule(config.optimizer, config.epochs * steps, steps)
    return optimizers.build(config.optimizer, rate), steps


def _epoch_indices(config, method, split, state, epoch):
    key = rng.stream(config.seed, "epoch", epoch)
    return method.begin_epoch(config, split, state, epoch, key)


def _mean_image(split, constant):
    if constant is not None:
        return np.full(split.source.image_shape, constant, np.float32)
    spaced = np.linspace(0, len(split.train) - 1, min(len(split.train), _MEAN_IMAGES))
    indices = split.train[spaced.astype(np.int64)]
    chunks = np.array_split(indices, -(-len(indices) // 500))
    return preprocess.mean_image(split.source.images(chunk) for chunk in chunks)
