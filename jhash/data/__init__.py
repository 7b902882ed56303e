"""Data: where images come from (sources) and which of them train, are searched, and ask (splits).

`load` puts the two together: `load("embedded", "embedded")`.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from jhash.data import idx, image_list, random_images, scenes, splits, tfds_source
from jhash.data.sources import Arrays, Source, check_source
from jhash.data.splits import Data
from jhash.errors import InputError
from jhash.system import imports

__all__ = ["Arrays", "Data", "Source", "load", "load_config"]

_SOURCES: dict[str, Callable[..., Source]] = {
    "embedded": idx.embedded,
    "fashion_mnist": idx.fashion_mnist,
    "idx": idx.idx,
    "random": random_images.random_images,
    "lists": image_list.ImageLists,
    "scenes": scenes.scenes,
}
_TFDS = "tfds:"


def load(source: str, split: str, seed: int = 0, **options: Any) -> Data:
    """Opens a source and splits it.

    Args:
      source: `embedded`, `fashion_mnist`, `idx`, `lists`, `random`, `scenes`, `tfds:NAME`, or
        `my_module.my_source`, a function of your own that takes the options and returns a `Source`.
      split: A function of `jhash.data.splits`, such as `official`, or `my_module.my_split`, a
        function (source, seed) -> Data of your own.
      seed: Seed of whatever the split draws, 0 or more; the same seed gives the same sets.
      **options: What the source takes, such as `folder` or `image_size`.

    Raises:
      InputError: Something is unknown, missing or does not fit; the message says what is allowed.
    """
    if seed < 0:
        raise InputError(f"seed: got {seed}; must be 0 or more.")
    opened = _call(_find_source(source), options)
    check_source(opened)
    data = _find_split(split)(opened, seed)
    if not isinstance(data, Data):
        raise InputError(f"split: {split} returned a {type(data).__name__}; must be a Data.")
    return data


def load_config(config) -> Data:
    """Calls `load` as `config.data` of a run says; an option that is None is left to the source."""
    options = {name: value for name, value in config.options.items() if value is not None}
    return load(config.source, config.split, config.seed, **options)


def _find_source(source: str) -> Callable[..., Source]:
    if source.startswith(_TFDS):
        return functools.partial(tfds_source.TfdsSource, source.removeprefix(_TFDS))
    if source in _SOURCES:
        return _SOURCES[source]
    if "." not in source:
        raise InputError(
            f"source: got {source!r}; allowed are {', '.join(_SOURCES)}, tfds:NAME, or "
            "my_module.my_source."
        )
    return imports.find_attribute(source, "jhash.data", "source")


def _call(function: Callable[..., Source], options: dict[str, Any]) -> Source:
    """Calls `function` after a look at its signature, so that errors can name the options."""
    parameters = inspect.signature(function).parameters
    takes_any = any(item.kind is item.VAR_KEYWORD for item in parameters.values())
    unknown = [] if takes_any else sorted(set(options) - set(parameters))
    if unknown:
        raise InputError(
            f"source: unknown option {', '.join(unknown)}; allowed are "
            f"{', '.join(parameters) or 'none'}."
        )
    needed = [
        name
        for name, item in parameters.items()
        if item.default is item.empty and item.kind is item.POSITIONAL_OR_KEYWORD
    ]
    missing = [name for name in needed if name not in options]
    if missing:
        raise InputError(f"source: needs the option {', '.join(missing)}.")
    return function(**options)


def _find_split(split: str) -> Callable[[Source, int], Data]:
    if "." in split:
        return imports.find_attribute(split, "jhash.data", "split")
    if split not in splits.PROTOCOLS:
        raise InputError(
            f"split: got {split!r}; allowed are {', '.join(splits.PROTOCOLS)}, or "
            "my_module.my_split."
        )
    return splits.PROTOCOLS[split]
