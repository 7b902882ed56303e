"""Models: `flax.linen` modules that map images [B, H, W, C] to hash outputs [B, bits].

The exception is `stacked_autoencoder`, which has functions on the rows of a graph.

A bit is 1 where its hash output is above 0. A model that has more to say returns a dict of arrays
[B, ...]; its method knows which of them are the hash outputs. Every model has the fields `bits` and
`axis_name` (the mapped axis over which BatchNorm is synchronized; None on one device) and is called
as `model(images, train)`. Every model but `feature_hash` has a field `dtype`, "float32" or
"bfloat16": the type in which it computes most. Parameters, statistics and outputs are float32.

An invertible model also has `features(images, train)` -> [B, ...] and `inverse(features, train)` ->
images. Outside of `jax.jit` both run the same compiled code. With an integer field `lattice` images
are first rounded to multiples of 2^-lattice, on which the inverse is exact, and values that leave
the range of the lattice become NaN.
"""

import dataclasses
import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jhash import config_fields
from jhash.errors import InputError
from jhash.models import heads, layers
from jhash.models.layers import convolutions
from jhash.system import imports

__all__ = ["build", "check", "count_parameters", "heads", "layers", "without_axis"]

# What the fields of jhash's models that are ints may be, at least.
_COUNT = config_fields.integer(0)
# Fields that every flax module has.
_OF_FLAX = ("parent", "name")
# Sides of images, in pixels, that an error names as allowed if the model takes them.
_SIDES = (28, 32, 64, 96, 224, 256)
# Types in which models compute; parameters are float32 in either case.
_DTYPES = convolutions.DTYPES
# Max number of characters of an error of another library within an error.
_REASON = 200


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
      InputError: `name` is not the name of a flax module, `bits` is below 1, the class lacks a
        field, or `dtype` is no type in which jhash's models compute.
    """
    model = imports.find_attribute(name, "jhash.models", "name")
    if not (inspect.isclass(model) and issubclass(model, nn.Module)):
        raise InputError(f"name: {name!r} given; allowed: classes of flax.linen.Module.")
    if bits < 1:
        raise InputError(f"bits: {bits} given; allowed: 1 and more.")
    allowed = [f.name for f in dataclasses.fields(model) if f.name not in _OF_FLAX]
    fields = {"bits": bits, "axis_name": axis_name, **fields}
    if unknown := sorted(set(fields) - set(allowed)):
        raise InputError(
            f"fields: {', '.join(unknown)} given; allowed: {', '.join(allowed)}, which {name} has."
        )
    if model.__module__.startswith("jhash."):
        _check_dtype(fields)
        counts = {f.name: _COUNT for f in dataclasses.fields(model) if f.type is int}
        given = {name: value for name, value in fields.items() if name in counts}
        config_fields.check_group(given, {name: counts[name] for name in given})
    return model(**{name: _hashable(value) for name, value in fields.items()})


def _check_dtype(fields):
    """Checks the type in which one of jhash's models computes, if it is given."""
    try:
        known = "dtype" not in fields or jnp.dtype(fields["dtype"]) in map(jnp.dtype, _DTYPES)
    except TypeError:
        known = False
    if not known:
        raise InputError(f"dtype: {fields['dtype']!r} given; allowed: {', '.join(_DTYPES)}.")


def _hashable(value):
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def check(model: nn.Module, name: str, size: int, channels: int) -> Any:
    """Checks that a model takes images of a size; only shapes are computed.

    Args:
      model: The model.
      name: Name of the model, for the message.
      size: Side of the images in pixels.
      channels: Number of channels of the images.

    Returns:
      The shapes and dtypes of the outputs for one image.

    Raises:
      InputError: The model takes images of other sizes, or, if it is one of jhash's own, its fields
        have values with which it takes none. (What a user's model raises for all sizes is passed on
        as it is.)
    """
    try:
        return _trace(model, size, channels)
    except InputError:
        raise
    except Exception as error:  # Layers raise nearly anything for shapes that they cannot have.
        fitting = [other for other in _SIDES if _takes(model, other, channels)]
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:_REASON]
        if fitting:
            raise InputError(
                f"size: {size} given; allowed: sides in pixels that {name} takes, such as "
                f"{', '.join(map(str, fitting))} ({reason})."
            ) from error
        if not type(model).__module__.startswith("jhash."):
            raise
        given = [f.name for f in dataclasses.fields(model) if f.name not in _OF_FLAX]
        values = ", ".join(f"{field}={getattr(model, field)!r}" for field in given)
        raise InputError(
            f"fields: {values} given; allowed: what the docstring of {name} describes ({reason})."
        ) from error


def _trace(model, size, channels):
    """Returns the shapes of the outputs for one image; raises what the layers raise."""
    image = jax.ShapeDtypeStruct((1, size, size, channels), jnp.float32)
    init = functools.partial(without_axis(model).init_with_output, train=False)
    outputs, variables = jax.eval_shape(init, jax.random.key(0), image)
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        if not leaf.size:
            raise ValueError(f"{jax.tree_util.keystr(path)} has the shape {list(leaf.shape)}")
    return outputs


def _takes(model, size, channels):
    try:
        _trace(model, size, channels)
    except Exception:
        return False
    return True


def without_axis(model: nn.Module) -> nn.Module:
    """Returns the same model for one device, without a mapped axis."""
    if isinstance(model, heads.WithHead):
        return model.clone(model=model.model.clone(axis_name=None))
    return model.clone(axis_name=None)


def count_parameters(params: Any) -> int:
    """Counts the numbers in a tree of arrays, or of shapes as `jax.eval_shape` gives them."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
