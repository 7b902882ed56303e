"""Data: a source gives images, a split says which of them train, are searched, and are queries.

`load` puts the two together: `load("embedded", "embedded")`.
"""

import functools
import inspect
import numbers
import types
import typing
from collections.abc import Callable
from typing import Any

from jhash.data import (
    folder,
    idx,
    image_list,
    in_memory,
    random_images,
    scenes,
    splits,
    tfds_source,
)
from jhash.data.folder import FolderSource
from jhash.data.image_list import ImageListSource
from jhash.data.in_memory import from_arrays
from jhash.data.sources import ArraySource, Source, check_source
from jhash.data.splits import Data
from jhash.data.tfds_source import TfdsSource
from jhash.errors import InputError, in_config
from jhash.system import imports

__all__ = [
    "ArraySource",
    "Data",
    "FolderSource",
    "ImageListSource",
    "Source",
    "TfdsSource",
    "from_arrays",
    "hold_out",
    "load",
    "load_config",
]

_SOURCES: dict[str, Callable[..., Source]] = {
    "embedded": idx.embedded,
    "fashion_mnist": idx.fashion_mnist,
    "folder": folder.FolderSource,
    "idx": idx.idx,
    "random": random_images.random_images,
    "lists": image_list.ImageListSource,
    "scenes": scenes.scenes,
}
_TFDS = "tfds:"


def load(source: str, split: str, seed: int = 0, **options: Any) -> Data:
    """Opens a source and splits it.

    Args:
      source: `embedded`, `fashion_mnist`, `folder`, `idx`, `lists`, `random`, `scenes`,
        `tfds:NAME`, or `my_module.my_source`, a function of your own that takes the options and
        returns a `Source`.
      split: Name of a protocol in `jhash.data.splits`, such as `official`, or `my_module.my_split`,
        a function (source, seed) -> Data of your own.
      seed: Seed of what the split draws, 0 or more. The same seed gives the same sets.
      **options: Arguments of the source, such as `folder` or `image_size`.

    Raises:
      InputError: Something is unknown, missing or does not fit. The message names the argument or
        option and says what is allowed.
    """
    for name, value in (("source", source), ("split", split)):
        if not isinstance(value, str):
            raise InputError(f"{name}: {value!r} given; allowed: a name.")
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise InputError(f"seed: {seed!r} given; allowed: 0 and more.")
    # `TfdsSource` takes what follows "tfds:" as its `name`, which here is a piece of `source`.
    with in_config({"name": "source"} if source.startswith(_TFDS) else {}):
        opened = _call(source, _find_source(source), options)
    check_source(opened)
    data = _split(opened, split, seed)
    if not isinstance(data, Data):
        raise InputError(
            f"split: {split!r} given, which returns a {type(data).__name__}; allowed: functions "
            "that return a Data."
        )
    return data


def load_config(config, image=None) -> Data:
    """Calls `load` with the fields of a run's `config.data`.

    Args:
      config: `source`, `split` and `seed`, and `options`, of which those that are None are left to
        the source's defaults.
      image: The run's `config.image`, whose `resize` goes to sources with an option of that name;
        None stands for "stretch".

    Raises:
      InputError: As `load` does. The message gives the config's field, such as `config.data.split`
        or `config.data.options.folder`, in place of an argument or option.
    """
    options = {name: value for name, value in config.options.items() if value is not None}
    fields = {name: f"config.data.{name}" for name in ("source", "split", "seed")}
    with in_config(fields):
        known = inspect.signature(_find_source(config.source)).parameters
    resize = "stretch" if image is None else image.get("resize", "stretch")
    for name in fields:
        if name in options:
            raise InputError(
                f"config.data.options.{name}: {options[name]!r} given; allowed: config.data.{name} "
                "in its place."
            )
    if "resize" in options:
        raise InputError(
            f"config.data.options.resize: {options['resize']!r} given; allowed: "
            "config.image.resize in its place, which query images need, too."
        )
    if "resize" in known:
        options["resize"] = resize
    elif resize != "stretch":
        raise InputError(
            f"config.image.resize: {resize} given; allowed: stretch, as the source "
            f"{config.source!r} does not resize files by an option resize."
        )
    # Options alone: an error may also name something else, such as an attribute of the source.
    option_fields = {name: f"config.data.options.{name}" for name in (*known, *options)}
    with in_config(option_fields | fields):
        return load(config.source, config.split, config.seed, **options)


def hold_out(data: Data, config) -> Data:
    """Calls `splits.hold_out` with the fields of a run's `config.data`, if it asks for validation.

    Args:
      data: The split; one of the user's own may have validation images, which then stay.
      config: `validation`, `validation_per_class` and `seed`.

    Raises:
      InputError: As `splits.hold_out` does, or the split has validation images already; the message
        gives `config.data.validation`.
    """
    if not config.get("validation", 0):
        return data
    if len(data.validation):
        raise InputError(
            f"config.data.validation: {config.validation} given; allowed: 0, as the split has "
            f"{len(data.validation)} validation images of its own."
        )
    with in_config({"validation": "config.data.validation"}):
        return splits.hold_out(
            data, config.validation, config.seed, config.get("validation_per_class", False)
        )


def _find_source(source: str) -> Callable[..., Source]:
    if source.startswith(_TFDS):
        return functools.partial(tfds_source.TfdsSource, source.removeprefix(_TFDS))
    if source in _SOURCES:
        return _SOURCES[source]
    if source.startswith(in_memory.PREFIX):
        raise in_memory.missing(source)
    if "." not in source:
        raise InputError(
            f"source: {source!r} given; allowed: {', '.join(_SOURCES)}, tfds:NAME, or "
            "my_module.my_source."
        )
    return imports.find_attribute(source, "jhash.data", "source")


def _call(source: str, function: Callable[..., Source], options: dict[str, Any]) -> Source:
    """Calls a source's function if the options fit its signature; errors name those that do not."""
    parameters = inspect.signature(function).parameters
    takes_any = any(item.kind is item.VAR_KEYWORD for item in parameters.values())
    unknown = [] if takes_any else sorted(set(options) - set(parameters))
    if unknown:
        raise InputError(
            f"source: {source!r} given with the unknown option {', '.join(unknown)}; allowed: "
            f"{', '.join(parameters) or 'none'}."
        )
    needed = [
        name
        for name, item in parameters.items()
        if item.default is item.empty and item.kind is item.POSITIONAL_OR_KEYWORD
    ]
    missing = [name for name in needed if name not in options]
    if missing:
        raise InputError(
            f"source: {source!r} given without the option {', '.join(missing)}; allowed: "
            f"{source!r} with a value for {', '.join(needed)}."
        )
    for name in options if source in _SOURCES or source.startswith(_TFDS) else ():
        _check_type(name, options[name], parameters[name].annotation)
    return function(**options)


def _check_type(name, value, annotation):
    """Checks an option of one of jhash's own sources, whose annotations are types or unions."""
    union = isinstance(annotation, types.UnionType)
    kinds = [
        typing.get_origin(kind) or kind
        for kind in (typing.get_args(annotation) if union else (annotation,))
    ]
    # True is an int for Python, but no number here.
    if not isinstance(value, tuple(kinds)) or (isinstance(value, bool) and bool not in kinds):
        allowed = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
        raise InputError(f"{name}: {value!r} given; allowed: {allowed}.")


def _split(source: Source, split: str, seed: int) -> Any:
    """Splits a source; for a split that does not fit it, the error names those that do."""
    function = _find_split(split)
    try:
        return function(source, seed)
    except InputError as error:
        if not str(error).startswith("source: "):
            raise
        fitting = [name for name in splits.PROTOCOLS if _fits(source, name, seed)]
        raise InputError(
            f"split: {split!r} given; allowed for this source: "
            f"{', '.join([*fitting, 'my_module.my_split'])}. ({error})"
        ) from error


def _fits(source: Source, split: str, seed: int) -> bool:
    try:
        splits.PROTOCOLS[split](source, seed)
    except InputError:
        return False
    return True


def _find_split(split: str) -> Callable[[Source, int], Data]:
    if "." in split:
        return imports.find_attribute(split, "jhash.data", "split")
    if split not in splits.PROTOCOLS:
        raise InputError(
            f"split: {split!r} given; allowed: {', '.join(splits.PROTOCOLS)}, or "
            "my_module.my_split."
        )
    return splits.PROTOCOLS[split]
