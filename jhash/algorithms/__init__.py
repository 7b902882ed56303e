"""The contract of a method: a module of plain functions, found by `config.method.name`.

A method is a file here or a module of the user's own. It must have `loss`, unless
`config.epochs` is 0; the rest has defaults.

prepare(config, data, key) -> (data, extra)
    Whenever a process starts: checks, first values. Default: no `extra`.
pretrain(config, data, params, extra, folder) -> (params, extra)
    Once, before the first epoch: what takes minutes, such as features, pseudo labels, or parameters
    in closed form. A run that was killed in it calls it again with the same `folder`, which holds
    what it kept there. Shapes and dtypes stay. Default: none.
begin_epoch(config, data, extra, epoch, key) -> indices
    The samples of this epoch, in order. Default: all of `data.train`, shuffled.
loss(outputs, batch, extra, config) -> (loss, aux)
    Pure, traced by jit; sees the *global* batch. `aux` is a dict of scalars to log.
end_epoch(config, data, extra, indices, encode) -> (extra, metrics)
    Updates outside gradient descent, such as closed forms. Default: none.
logits(outputs) -> [B, bits]
    Bit = logit > 0. Default: `outputs` itself. Outputs may be a dict of arrays [B, ...], too.
learned_codes(config, data, extra) -> [n, bits] or None
    Codes of `data.database` that were learned, not encoded. Default: None.
report(config, data, extra) -> dict
    Further numbers for `results.json`, by name. Default: none.

`extra` is a pytree of arrays: checkpointed with the rest and given to every call. `data` is a
`jhash.data.Data`; `indices` are int64 and point into `data.source`. `batch` holds `labels` ([B]
class ids or [B, C] 0/1) and `index` ([B], into the source). `encode(indices)` gives the network's
outputs in evaluation mode. `config.loss` replaces a method's `loss` by another function of the same
arguments.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jhash import naming
from jhash.errors import InputError


def _prepare(config, data, key):
    del config, key
    return data, {}


def _begin_epoch(config, data, extra, epoch, key):
    del config, extra, epoch
    return data.train[np.asarray(jax.random.permutation(key, len(data.train)))]


def _end_epoch(config, data, extra, indices, encode):
    del config, data, indices, encode
    return extra, {}


def _logits(outputs):
    return outputs


def _learned_codes(config, data, extra):
    del config, data, extra
    return None


def _report(config, data, extra):
    del config, data, extra
    return {}


@dataclasses.dataclass(frozen=True)
class Method:
    """A method's functions with the defaults filled in; see the module's docstring."""

    loss: Callable[..., tuple[Any, dict[str, Any]]] | None = None
    prepare: Callable[..., Any] = _prepare
    pretrain: Callable[..., Any] | None = None
    begin_epoch: Callable[..., np.ndarray] = _begin_epoch
    end_epoch: Callable[..., Any] = _end_epoch
    logits: Callable[[Any], Any] = _logits
    learned_codes: Callable[..., Any] = _learned_codes
    report: Callable[..., dict[str, Any]] = _report


def load(name: str, loss: str = "") -> Method:
    """Finds a method by name.

    Args:
      name: A module of this package (`fdah`) or of the user's (`my_method`).
      loss: Empty, or `module.function` of the same arguments that replaces the method's loss;
        `module` is found as methods are.

    Returns:
      The method.

    Raises:
      InputError: The module or function does not exist, or the module has neither `loss` nor
        `pretrain`.
    """
    module = naming.find_module(name, "jhash.algorithms", "config.method.name")
    functions = {
        field.name: getattr(module, field.name)
        for field in dataclasses.fields(Method)
        if callable(getattr(module, field.name, None))
    }
    if loss:
        functions["loss"] = naming.find_attribute(loss, "jhash.algorithms", "config.loss")
    if not functions.keys() & {"loss", "pretrain"}:
        raise InputError(f"config.method.name: module {module.__name__} has no function `loss`.")
    return Method(**functions)
