"""Backbones: `flax.linen` modules that map images [B, H, W, C] to real outputs [B, bits].

A network with more to say returns a dict of arrays [B, ...], of which its method knows the code.
Every model has the fields `bits` and `axis_name` (the mapped axis over which BatchNorm is
synchronised; None on one device) and is called as `model(images, train)`. A bit is output > 0.

An invertible network also has `features(images, train)` -> [B, ...] and `inverse(features, train)`
-> images, which outside jit run the same compiled code. With an integer field `lattice` the input
is first rounded to multiples of 2^-lattice, on which the inverse is exact; what leaves the range
becomes NaN.
"""

import dataclasses
import inspect
from typing import Any

import jax
from flax import linen as nn

from jhash.errors import InputError
from jhash.models import heads
from jhash.system import imports


def build(name: str, bits: int, axis_name: str | None = None, **fields: Any) -> nn.Module:
    """Makes the model that a config names.

    Args:
      name: `module.Class`, of this package (`cnn_f.CNNF`) or of a user's file (`my_file.MyNet`).
      bits: Code length, at least 1.
      axis_name: Mapped axis over which BatchNorm statistics are averaged, or None.
      **fields: Further fields of the class. Lists become tuples, as a module must be hashable.

    Returns:
      The module, without parameters.

    Raises:
      InputError: `name` is no flax module, `bits` is below 1, or a field is unknown.
    """
    model = imports.find_attribute(name, "jhash.models", "name")
    if not (inspect.isclass(model) and issubclass(model, nn.Module)):
        raise InputError(f"name: {name!r} given; it is not a flax.linen.Module class.")
    if bits < 1:
        raise InputError(f"bits: {bits} given; a code has at least 1 bit.")
    allowed = [f.name for f in dataclasses.fields(model) if f.name not in ("parent", "name")]
    fields = {"bits": bits, "axis_name": axis_name, **fields}
    if unknown := sorted(set(fields) - set(allowed)):
        raise InputError(
            f"fields: {', '.join(unknown)} given; allowed: {', '.join(allowed)}, as {name} has."
        )
    return model(**{name: _hashable(value) for name, value in fields.items()})


def _hashable(value):
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def without_axis(model: nn.Module) -> nn.Module:
    """The same model for one device, without a mapped axis."""
    if isinstance(model, heads.WithHead):
        return model.clone(model=model.model.clone(axis_name=None))
    return model.clone(axis_name=None)


def count_parameters(params: Any) -> int:
    """Counts the numbers in a tree of arrays, or of their shapes (from `jax.eval_shape`)."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
