"""An experiment: a config together with everything that it names, built.

`build` works in phases: it loads the method, checks the config, makes the model, loads and prepares
the data, and makes the optimizer.
"""

import dataclasses
import math
import sys
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from flax import linen as nn
from flax import traverse_util

from jhash import (
    config_fields,
    data,
    methods,
    models,
    optimizers,
    parallel,
    pretrained,
    rng,
)
from jhash.data import batches, preprocess, usable, workers
from jhash.errors import InputError, in_config
from jhash.models.heads import WithHead
from jhash.optimizers import averages, parts
from jhash.runs import best

# The max number of images in the mean image; they are evenly spaced over the training set.
_MEAN_IMAGES = 10_000
# The default eval_batch_size, which fits smaller data, too: a batch is filled up to its size.
_EVAL_BATCH = 1000


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

    def averaged(self) -> "TrainState":
        """Returns the state to evaluate: that of the averaged weights, if there is an average."""
        return self


class AveragedTrainState(TrainState):
    """A train state with moving averages of the weights; see `config.optimizer.average`.

    The statistics of BatchNorm are averaged, too, with the same decay, so that they are those of
    the averaged weights rather than of the newest ones.

    Attributes:
      average: The averages of `variables`.
    """

    average: Any

    def averaged(self) -> TrainState:
        """Returns the state with the averages in place of the newest values."""
        return TrainState(
            self.step, self.average["params"], self.average["batch_stats"], self.opt_state
        )

    def advanced(self, new: TrainState, decay: float) -> "AveragedTrainState":
        """Returns the state after a step, with the average advanced from this state's."""
        average = averages.update(self.average, new.variables, self.step, decay)
        return AveragedTrainState(new.step, new.params, new.batch_stats, new.opt_state, average)


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
      learning_rate: The learning rate as a function of the number of steps done.
      steps_per_epoch: Number of training steps per epoch.
      devices: Number of devices that share a batch.
      examined: What is known of images that cannot be read; None if there was no look at them.
    """

    config: ml_collections.FrozenConfigDict
    method: methods.Method
    data: data.Data
    state: Any
    model: nn.Module
    weights: pretrained.Weights | None
    mean: np.ndarray
    optimizer: optax.GradientTransformation
    learning_rate: optax.Schedule
    steps_per_epoch: int
    devices: int
    examined: usable.Examined | None = None

    def epoch_indices(self, state, epoch: int) -> np.ndarray:
        """Returns the samples of an epoch in order, as indices into the source."""
        return _epoch_indices(self.config, self.method, self.data, state, epoch)

    def first(self) -> dict[str, Any]:
        """Makes the content of a checkpoint as it is before the first epoch.

        Returns:
          {"train_state": TrainState, "state": state of the method, "seconds": time of training so
          far}, on the host, and with `config.keep` "best" also the entry of `runs.best`. Parameters
          are drawn from `config.seed`.
        """
        variables = self._variables()
        train_state = self.start(variables["params"], variables["batch_stats"])
        first = {"train_state": train_state, "state": self.state, "seconds": np.zeros(())}
        first = jax.device_get(first)
        if self.config.keep == "best":
            first["best"] = best.begin(first)
        return first

    def start(self, params, batch_stats) -> TrainState:
        """Makes the train state before the first step.

        Args:
          params: Parameters of the model.
          batch_stats: BatchNorm statistics of the model.
        """
        state = {
            "step": jnp.zeros((), jnp.int32),
            "params": params,
            "batch_stats": batch_stats,
            "opt_state": self.optimizer.init(params),
        }
        if not self.config.optimizer.average:
            return TrainState(**state)
        # A copy, since a step reuses the memory of what it replaces.
        average = jax.tree.map(np.array, {"params": params, "batch_stats": batch_stats})
        return AveragedTrainState(**state, average=average)

    def _variables(self):
        """Makes the model's variables: those that are given, and draws of all others.

        Nothing else is drawn, as the program that draws all of a large network takes long to
        compile.
        """
        key = rng.stream(self.config.seed, "init")

        def init(key):
            return _init(self.config, self.model, self.data.source, self.mean, key)

        given = jax.eval_shape(init, key)
        if self.weights:
            given["params"] = self._start_from(self.weights.params, given["params"])
        if self.weights and self.weights.batch_stats:
            given["batch_stats"] = self._start_from(self.weights.batch_stats, given["batch_stats"])
        if self.method.initialize:
            given["params"] = self.method.initialize(self.config, self.data, given["params"])
        flat = traverse_util.flatten_dict(given, keep_empty_nodes=True)
        missing = [place for place, x in flat.items() if isinstance(x, jax.ShapeDtypeStruct)]

        @jax.jit
        def draw(key):
            drawn = traverse_util.flatten_dict(init(key))
            return {place: drawn[place] for place in missing}

        return traverse_util.unflatten_dict(flat | draw(key))

    def _start_from(self, loaded, params):
        """Replaces the model's parameters or statistics by published ones; a head's stay."""
        with in_config({"loaded": "config.weights"}):
            if isinstance(self.model, WithHead):
                return {**params, "model": pretrained.merge(params["model"], loaded)}
            return pretrained.merge(params, loaded)


def build(
    config: ml_collections.FrozenConfigDict,
    check_images: bool = False,
    given: data.Data | None = None,
    examined: usable.Examined | None = None,
) -> Experiment:
    """Builds everything that a config names.

    Args:
      config: The config.
      check_images: Whether to decode all images first, and to leave out those that cannot be
        decoded; see `data.usable`.
      given: Data that the program has passed, for a config that names them by their digest; see
        `data.in_memory`. They are not compared with it here.
      examined: What the run knows of its images since it began, if it has begun.

    Raises:
      InputError: A field of the config is not allowed, or images cannot be used; the message names
        the field.
    """
    method = check(config)
    devices = _devices(config)
    model = build_model(config)
    checked = _check_model(config, method, model)
    weights = _weights(config, model)
    optimizers.build(config.optimizer, config.optimizer.learning_rate)
    loaded = _load(config, given)
    with in_config("config.data."):
        workers.check(loaded.source, config.data.get("workers", 0))
    with in_config({"source": "config.data.source"}):
        if check_images:
            examined = usable.examine(loaded)
        if examined is not None:
            loaded = usable.without_unreadable(loaded, examined)
    split, state = _prepare(config, method, loaded)
    if not checked:
        _check_model(config, method, model, split.source.image_shape[2])
    model = with_head(model, method, config, split)
    mean = _mean(config, split, weights)
    if config.optimizer.rates:
        shapes = jax.eval_shape(
            lambda key: _init(config, model, split.source, mean, key), jax.random.key(0)
        )
        parts.check(config.optimizer.rates, shapes["params"])
    optimizer, learning_rate, steps_per_epoch = _optimizer(config, method, split, state)
    return Experiment(
        config,
        method,
        split,
        state,
        model,
        weights,
        mean,
        optimizer,
        learning_rate,
        steps_per_epoch,
        devices,
        examined,
    )


def _init(config, model, source, mean, key):
    """Draws the variables of a model: its parameters and its statistics of BatchNorm, if any."""
    x = np.zeros((1, *source.image_shape), np.uint8)
    x = preprocess.eval_images(x, mean, **config.image)
    variables = models.without_axis(model).init(key, x, train=False)
    return {name: variables.get(name, {}) for name in ("params", "batch_stats")}


def build_model(config: ml_collections.FrozenConfigDict) -> nn.Module:
    """Builds the model that a config names, without a head."""
    # A method's head may make fewer bits of more outputs, whose number is then `config.model.bits`.
    fields = {"bits": config.bits, **config.model}
    if "axis_name" in fields:
        raise InputError(
            f"config.model.axis_name: {fields['axis_name']!r} given; allowed: none, as it is that "
            "of the devices."
        )
    with in_config({"bits": "config.bits", **_model_fields(config), "fields": "config.model"}):
        return models.build(axis_name=parallel.AXIS, **fields)


def _model_fields(config):
    """Returns the config's field of each field of the model, for `in_config`."""
    return {name: f"config.model.{name}" for name in config.model}


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


def check(config: Any) -> methods.Method:
    """Checks a config as far as it takes neither data nor devices, and loads its method.

    Args:
      config: A config, or anything that was given in place of one.

    Returns:
      The method.

    Raises:
      InputError: It is no config, or a field is missing, unknown or not allowed.
    """
    config_fields.check(config)
    method = methods.load(config.method.name, config.loss)
    if config.get("init_from", "") and method.initialize:
        raise InputError(
            f"config.init_from: {config.init_from!r} given; allowed: none, as {config.method.name} "
            "is fitted without training, so that it has no start."
        )
    if config.get("init_from", "") and config.weights:
        raise InputError(
            f"config.init_from: {config.init_from!r} given with config.weights; allowed: one of "
            "them, as both are the parameters of the start."
        )
    if method.fields is not None:
        known = {"name": config_fields.text(empty=False), **method.fields}
        config_fields.check_group(config.method, known, "config.method")
        config_fields.refuse_unknown(config.method, known, "config.method", bool(config.loss))
    _refuse_unknown(config, method)
    learns = bool(method.loss or method.make_step)
    if config.loss and (method.make_step or not config.epochs):
        why = "has a training step of its own" if method.make_step else "is not trained by gradient"
        raise InputError(
            f"config.loss: {config.loss!r} given; allowed: none, as {config.method.name} {why}."
        )
    # A method with `pretrain` needs no epochs, and one without a step cannot have any.
    if config.epochs < 1 and not method.pretrain:
        raise InputError(f"config.epochs: {config.epochs} given; allowed: 1 or more.")
    if config.epochs and not learns:
        raise InputError(
            f"config.epochs: {config.epochs} given; allowed: 0, as {config.method.name} is fitted "
            "without training."
        )
    return method


def _refuse_unknown(config, method):
    """Refuses fields that nothing reads; the user's own code may read further ones."""
    known, own = dict(config_fields.COMMON), optimizers.is_own(config.optimizer)
    of_optimizer = known["optimizer"]
    if own:
        known["optimizer"] = config_fields.group()
    config_fields.refuse_unknown(config, known, "config", method.own)
    config_fields.refuse_unknown(config.optimizer, of_optimizer, "config.optimizer", own)


def _devices(config):
    """Returns the number of devices that train, which can share the batches."""
    with in_config("config."):
        limit = config.get("devices", 0)
        devices = parallel.training_devices(config.batch_size, config.idle_devices, limit)
        parallel.check_batch_size("eval_batch_size", config.eval_batch_size, devices)
    if config.batch_size // devices % config.accumulate:
        raise InputError(
            f"config.accumulate: {config.accumulate} given; allowed: divisors of "
            f"{config.batch_size // devices}, which is config.batch_size on each of {devices} "
            "devices."
        )
    available = limit or parallel.device_count()
    if devices < available:
        print(
            f"jhash: {devices} of {available} devices are used; more cannot share "
            f"config.batch_size {config.batch_size} equally.",
            file=sys.stderr,
        )
    return devices


def _check_model(config, method, model, channels=None):
    """Checks that the model takes images of the config's size, without computing anything.

    Args:
      config: The config.
      method: The method.
      model: The model, without a head.
      channels: Number of channels of the source's images; None before there is a source.

    Returns:
      Whether the check was made. A model of the user's own may need the source's channels.
    """
    own = not type(model).__module__.startswith("jhash.")
    channels = config.image.channels or channels or (None if own else 3)
    if channels is None:
        return False
    side, field = config.image.size, "size"
    if config.image.crop is not None:
        side, field = config.image.crop, "crop"
    fields = {"size": f"config.image.{field}", "images": f"config.image.{field}"}
    with in_config(_model_fields(config) | fields | {"fields": "config.model"}):
        outputs = models.check(model, config.model.name, side, channels)
    # What other methods take the bits from is their own affair; before a fit there are none.
    plain = method.hash_outputs is methods.Method.hash_outputs and method.initialize is None
    if plain and hasattr(outputs, "shape") and outputs.shape != (1, config.bits):
        raise InputError(
            f"config.model.name: {config.model.name!r} given, which maps an image to "
            f"{list(outputs.shape[1:])} numbers; allowed: models that map it to "
            f"[{config.bits}], as config.bits says."
        )
    return True


def _load(config, given):
    """Loads the data, with validation images if the config asks for them."""
    loaded = data.load_config(config.data, config.image) if given is None else given
    loaded = data.hold_out(loaded, config.data)
    if config.eval_every and not len(loaded.validation):
        raise InputError(
            f"config.eval_every: {config.eval_every} given; allowed: 0 without validation images, "
            "of which config.data.validation is the number."
        )
    return loaded


def _prepare(config, method, loaded):
    """Returns data and state as the method prepares them."""
    split, state = method.prepare(config, loaded, rng.stream(config.seed, "prepare"))
    if not np.array_equal(split.validation, loaded.validation):
        raise InputError(
            f"config.method.name: {config.method.name!r} given, whose prepare returned other "
            "validation images; allowed: data with those that it was given, as "
            "dataclasses.replace(data, ...) keeps them."
        )
    return split, jax.tree.map(jnp.asarray, state)


def _weights(config, model):
    """Reads the published weights, if there are any."""
    if not config.weights:
        return None
    with in_config({"path": "config.weights", "weights": "config.weights"}):
        backbone = getattr(model, "backbone", "")
        weights = pretrained.load(config.model.name, config.weights, backbone, model)
    # The message gives six digits.
    if not math.isclose(config.image.scale, weights.scale, rel_tol=1e-5):
        raise InputError(
            f"config.image.scale: {config.image.scale} given with config.weights; allowed: "
            f"{weights.scale:g}, with which the published weights were trained."
        )
    return weights


def _mean(config, split, weights):
    """Returns the mean image, that of published weights if there are any."""
    mean = _mean_image(split, config.mean) if weights is None else weights.mean
    mean = np.asarray(mean, np.float32)
    image = jax.ShapeDtypeStruct((1, *split.source.image_shape), np.uint8)
    fields = {"channels": "config.image.channels", "crop": "config.image.crop"}
    with in_config(fields | {"mean": "config.weights"}):
        jax.eval_shape(lambda images: preprocess.eval_images(images, mean, **config.image), image)
    return mean


def _optimizer(config, method, split, state):
    """Builds the optimizer, and counts the steps of an epoch, on which its schedule depends."""
    indices = _epoch_indices(config, method, split, state, 0)
    if not len(indices):
        raise InputError(
            f"config.method.name: {config.method.name!r} given, whose begin_epoch returned no "
            "sample; allowed: methods that return at least one."
        )
    _check_sizes(config, len(indices), len(split.source))
    steps = len(batches.batch_indices(indices, config.batch_size))
    rate = optimizers.schedule(config.optimizer, config.epochs * steps, steps)
    return optimizers.build(config.optimizer, rate), rate, steps


def _check_sizes(config, samples, images):
    """Checks that no batch is larger than the data, since it is filled up to its size."""
    for name, most, counted in (
        ("batch_size", samples, f"{samples} samples per epoch"),
        ("eval_batch_size", max(images, _EVAL_BATCH), f"{images} images"),
    ):
        # Without epochs, as for shallow methods, no batch is trained on.
        if config[name] > most and (config.epochs or name != "batch_size"):
            raise InputError(
                f"config.{name}: {config[name]} given; allowed: 1 to {most}, as the data have "
                f"{counted}."
            )


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
