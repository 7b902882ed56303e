"""The contract of a method: a module of plain functions, found by `config.method.name`.

A method is a file of `deep/` or `shallow/`, or a module of the user's own. A deep method has `loss`
and learns by gradient; a shallow one has `fit` and `encode` and fits a hash function to features.
Every other function has a default. (`embeddings/` holds what DSTGeH builds on, no methods: modules
with a function `embed`, which gives the nodes of a graph codes.)

`state` is the method's own pytree of arrays: checkpointed with everything else and given to every
function below that names it. `data` is a `jhash.data.Data`; `indices` are int64 and point into
`data.source`.

prepare(config, data, key) -> (data, state)
    Called whenever a process starts: checks, first values. Default: an empty state.
check(config, data)
    Called before a run trains, but not before an evaluation: refuses what `pretrain` would refuse
    late, such as a missing file. Default: none.
head(config, data) -> flax module or None
    Trainable layers behind any model, called as `module(outputs, train)` with the model's outputs;
    it gives a dict of arrays [B, ...]. It may use only `num_classes` and `multi_label` of `data`,
    since it is also called to load a saved encoder, which knows only these. Default: none.
pretrain(config, data, params, state, folder) -> (params, state)
    Called once, before the first epoch, for what takes minutes: features, pseudo labels, parameters
    in closed form. If the process is killed meanwhile, the next one calls it again with the same
    `folder`, in which it may keep files. Shapes and dtypes must not change. Default: none.
begin_epoch(config, data, state, epoch, key) -> indices
    The samples of this epoch, in order. Default: all of `data.train`, shuffled.
loss(outputs, batch, state, config) -> (loss, aux)
    Pure, traced by jit; sees the *global* batch. `aux` is a dict of scalars to log.
after_step(outputs, batch, state, config) -> state
    Pure, traced inside the compiled step, with the outputs that the loss saw: tables of outputs by
    sample, queues, moving averages. Shapes and dtypes must not change. Default: none.
end_epoch(config, data, state, indices, encode) -> (state, metrics)
    Updates outside gradient descent: closed forms, schedules. `encode(indices)` gives the model's
    outputs in evaluation mode. Default: none.
hash_outputs(outputs) -> [B, bits]
    The real numbers whose signs are the bits: bit = value > 0. Default: `outputs` itself.
learned_codes(config, data, state) -> [n, bits] or None
    Codes of `data.database` that training itself learned, real or +-1; they are apart from those
    that the model gives. Default: None.
extra_results(config, data, state) -> dict
    Further numbers for `results.json`, by name. Default: none.
make_step(experiment, forward) -> step
    Replaces the training step, for methods that train two models against each other; no other
    method should have it. `step` maps (train_state, state, batch) on a device's share of the batch
    to (train_state, state, metrics), as in `jhash.train.make_step`; `forward` is that of
    `jhash.train.make_forward`. It advances `train_state.step` by one, returns the state even if
    that is unchanged (the memory of the old one is reused), and has `loss` among its metrics, which
    are the same on every device. Default: gradient descent on `loss`.

fit(features, labels, bits, key, **fields) -> params
    Shallow methods: a dict of arrays from float32 [N, z] features. `labels` is None unless the
    module says SUPERVISED = True; then it is int [N] class ids or 0/1 [N, C]. The shapes of the
    arrays depend only on z, the bits, the number of classes, the fields below, and N up to 2,048.
    `fields` are those of FIELDS; each has a default.
encode(params, features) -> [N, bits]
    Shallow methods: hash outputs of any features, traced by jit.

FIELDS
    The fields of `config.method` besides `name`, by name, and the values that they may have, in the
    words of `jhash.config_fields`. Other values and fields are refused before any work. Without it
    `config.method` may have any fields. A shallow method may leave out `features`, which each has.
READS_EPOCHS
    Whether the method, such as its loss, depends on `config.epochs`; then a run of it cannot be
    lengthened. Default: False.
QUICK
    Shallow methods: fields with which a fit is quick that is made for the shapes of its parameters
    alone. Default: none.

`batch` holds `labels` ([B] class ids or [B, C] 0/1), `index` (int32 [B], into the source), `key` (a
PRNG key of this step, the same on every device) and `step` (int32, steps done before). Outputs are
[B, bits] or a dict of arrays [B, ...]; with `config.augment.views` = 2 or more they have a leading
axis of views, [views, B, ...]. `config.loss` replaces a method's `loss` by another function of the
same arguments.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jhash.errors import InputError
from jhash.methods import fitting
from jhash.system import imports

PACKAGES = ("jhash.methods.deep", "jhash.methods.shallow")


def _prepare(config, data, key):
    del config, key
    return data, {}


def _check(config, data):
    del config, data


def _head(config, data):
    del config, data


def _begin_epoch(config, data, state, epoch, key):
    del config, state, epoch
    return data.train[np.asarray(jax.random.permutation(key, len(data.train)))]


def _end_epoch(config, data, state, indices, encode):
    del config, data, indices, encode
    return state, {}


def _hash_outputs(outputs):
    return outputs


def _learned_codes(config, data, state):
    del config, data, state


def _extra_results(config, data, state):
    del config, data, state
    return {}


@dataclasses.dataclass(frozen=True)
class Method:
    """The functions of a method, with the defaults filled in; see the module's docstring.

    `fields` is the module's FIELDS, or None, and `reads_epochs` its READS_EPOCHS. `own` is true if
    the method or its loss may read further fields of the config, since it is the user's own.

    `initialize(config, data, params) -> params` replaces the model's first parameters, of which it
    gets the shapes, as `jax.ShapeDtypeStruct`; what it leaves so is drawn. A module cannot have it:
    the loader makes it for shallow methods, whose parameters have the shapes of what `fit` returns.
    """

    loss: Callable[..., tuple[Any, dict[str, Any]]] | None = None
    prepare: Callable[..., Any] = _prepare
    check: Callable[..., None] = _check
    head: Callable[..., Any] = _head
    initialize: Callable[..., Any] | None = None
    pretrain: Callable[..., Any] | None = None
    begin_epoch: Callable[..., np.ndarray] = _begin_epoch
    after_step: Callable[..., Any] | None = None
    end_epoch: Callable[..., Any] = _end_epoch
    hash_outputs: Callable[[Any], Any] = _hash_outputs
    learned_codes: Callable[..., Any] = _learned_codes
    extra_results: Callable[..., dict[str, Any]] = _extra_results
    make_step: Callable[..., Any] | None = None
    fields: Mapping[str, Any] | None = None
    reads_epochs: bool = False
    own: bool = False

    @property
    def learns_codes(self) -> bool:
        """Whether training may learn codes of the database."""
        return self.learned_codes is not _learned_codes


_NO_HOOKS = {"initialize", "fields", "reads_epochs", "own"}
_HOOKS = {field.name for field in dataclasses.fields(Method)} - _NO_HOOKS


def load(name: str, loss: str = "") -> Method:
    """Finds a method by name.

    Args:
      name: A module of `deep` or `shallow` (`fdah`, `itq`) or of the user's own (`my_method`).
      loss: Empty, or the `module.function` that replaces the method's loss; `module` is found in
        the same places as methods.

    Returns:
      The method.

    Raises:
      InputError: The module or the function does not exist, or the module is no method.
    """
    module = imports.find_module(name, PACKAGES, "config.method.name")
    functions = {hook: getattr(module, hook) for hook in _HOOKS if hasattr(module, hook)}
    if hasattr(module, "fit"):
        functions = fitting.functions(name, module) | functions
    if loss:
        functions["loss"] = imports.find_attribute(loss, PACKAGES, "config.loss")
    if "loss" in functions:
        field = "config.loss" if loss else "config.method.name"
        _check_loss(functions["loss"], field, loss or name)
    if not functions.keys() & {"loss", "pretrain", "make_step"}:
        raise InputError(
            f"config.method.name: {name} given; allowed: modules with a function loss, fit, "
            f"pretrain or make_step, of which {module.__name__} has none."
        )
    own = bool(loss) or not module.__name__.startswith("jhash.")
    fields = functions.pop("fields", getattr(module, "FIELDS", None))
    reads_epochs = getattr(module, "READS_EPOCHS", False)
    return Method(**functions, fields=fields, reads_epochs=reads_epochs, own=own)


def _check_loss(function, field, name):
    """Checks that a loss is a function that can be called with the four arguments of one."""
    arguments = ("outputs", "batch", "state", "config")
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{field}: {name!r} given; allowed: functions of {', '.join(arguments)} ({error})."
        ) from error
