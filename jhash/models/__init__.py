"""Models: `flax.linen` modules that map images [B, H, W, C] to hash outputs [B, bits].

The exception is `stacked_autoencoder`, which has functions on the rows of a graph.

A bit is 1 where its hash output is above 0. A model that has more to say returns a dict of arrays
[B, ...]; its method knows which of them are the hash outputs. Every model has the fields `bits` and
`axis_name` (the mapped axis over which BatchNorm is synchronized; None on one device) and is called
as `model(images, train)`.

An invertible model also has `features(images, train)` -> [B, ...] and `inverse(features, train)` ->
images. Outside of `jax.jit` both run the same compiled code. With an integer field `lattice` images
are first rounded to multiples of 2^-lattice, on which the inverse is exact, and values that leave
the range of the lattice become NaN.
"""

import dataclasses
import inspect
from typing import Any

import jax
from flax import linen as nn

from jhash.errors import InputError
from jhash.models import heads, layers
from jhash.system import imports

__all__ = ["build", "count_parameters", "heads", "layers", "without_axis"]


def build(name: str, bits: int, axis_name: str | None = None, **fields: Any) -> nn.Module:
    """Makes a model by its name.

    Args:
      name: `module.Class`, of this package (`cnn_f.CNNF`) or of a user's file (`my_file.MyNet`).
      bits: Code length, at least 1.
      axis_name: Mapped axis over which BatchNorm statistics are averaged, or None.
      **fields: Values of further fields of the class. Lists become tuples, because a module must be
        hashable.

    Returns:
      The module, without parameters.

    Raises:
      InputError: `name` is not the name of a flax module, `bits` is below 1, or the class lacks a
        field.
    """
    model = imports.find_attribute(name, "jhash.models", "name")
    if not (inspect.isclass(model) and issubclass(model, nn.Module)):
        raise InputError(f"name: {name!r} given; allowed: classes of flax.linen.Module.")
    if bits < 1:
        raise InputError(f"bits: {bits} given; allowed: 1 and more.")
    allowed = [f.name for f in dataclasses.fields(model) if f.name not in ("parent", "name")]
    fields = {"bits": bits, "axis_name": axis_name, **fields}
    if unknown := sorted(set(fields) - set(allowed)):
        raise InputError(
            f"fields: {', '.join(unknown)} given; allowed: {', '.join(allowed)}, which {name} has."
        )
    return model(**{name: _hashable(value) for name, value in fields.items()})


def _hashable(value):
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def without_axis(model: nn.Module) -> nn.Module:
    """Returns the same model for one device, without a mapped axis."""
    if isinstance(model, heads.WithHead):
        return model.clone(model=model.model.clone(axis_name=None))
    return model.clone(axis_name=None)


def count_parameters(params: Any) -> int:
    """Counts the numbers in a tree of arrays, or of shapes as `jax.eval_shape` gives them."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
