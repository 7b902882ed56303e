"""Overrides of a config on the command line: those that absl's flags do not handle, and errors."""

import ast
import difflib
import re
from collections.abc import Sequence
from typing import Any

import ml_collections
from absl import flags

from jhash.errors import InputError

# Fields that hold arguments of another function, or factors of patterns. A config need not list
# their names.
_OPEN = ("data.options", "optimizer.arguments", "optimizer.rates")
# A field of every model, which a config gets when it is given.
_DTYPE = "model.dtype"
# The fields of a run that an evaluation may change: a group, and one of another group.
_METRICS = "metrics"
_IMAGE, _MIRROR = "image", "mirror"
_CONFIG = re.compile(r"--?config(=.*)?", re.DOTALL)
_OVERRIDE = re.compile(r"--?(?:no)?config\.([^=]*)(?:=.*)?", re.DOTALL)
# The value of a flag in words, by the name that the flag's parser has for it.
_TYPES = {"int": "a whole number", "float": "a number", "bool": "True or False"}


def take_open(arguments: Sequence[str]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Takes the overrides of open fields, such as `--config.data.options.folder=LISTS`.

    That of `config.model.dtype` is among them: every model has the field, and few configs list it.
    Without a `--config`, so for an evaluation, it takes those of `config.metrics` and
    `config.image.mirror` as well. A value that reads as an integer, a real number, True, False,
    None or a quoted text becomes that, and so does a tuple of them in `config.metrics`; any other
    value stays a text.

    Args:
      arguments: Words of the command line.

    Returns:
      (the other arguments, {field: {name: value}}).

    Raises:
      InputError: A value is missing.
    """
    fields = [rf"{re.escape(group)}\.[^=.]+" for group in _OPEN] + [re.escape(_DTYPE)]
    if not any(map(_CONFIG.fullmatch, arguments)):
        fields += [rf"{_METRICS}\.[^=.]+", rf"{_IMAGE}\.{_MIRROR}"]
    flag = re.compile(rf"--?config\.({'|'.join(fields)})(?:=(.*))?", re.DOTALL)
    left = []
    taken: dict[str, dict[str, Any]] = {}
    remaining = iter(arguments)
    for argument in remaining:
        match = flag.fullmatch(argument)
        if match is None:
            left.append(argument)
            continue
        field, _, name = match[1].rpartition(".")
        value = match[2]
        value = next(remaining, None) if value is None else value
        if value is None:
            raise InputError(f"{argument}: no value given; allowed: {argument}=VALUE.")
        taken.setdefault(field, {})[name] = _read(value, tuples=field == _METRICS)
    return left, taken


def apply_open(config, taken: dict[str, dict[str, Any]]) -> None:
    """Puts the overrides that `take_open` took into the config.

    Raises:
      InputError: The config has no such group of fields.
    """
    for path, values in taken.items():
        field = config
        for name in path.split("."):
            field = field.get(name) if isinstance(field, ml_collections.ConfigDict) else None
        if not isinstance(field, ml_collections.ConfigDict):
            raise InputError(
                f"config.{path}: {field!r} given; allowed: a group of fields, which is to get the "
                f"field {next(iter(values))}."
            )
        for name, value in values.items():
            # The field may be new, or hold a value of another type.
            with field.unlocked(), field.ignore_type():
                field[name] = value


def of_evaluation(taken: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Returns what an evaluation changes, of what `take_open` took.

    Args:
      taken: {field: {name: value}}.

    Returns:
      The arguments `metrics` and `mirror` of `evaluate.evaluate_workdir`.

    Raises:
      InputError: There are others, which an evaluation cannot take.
    """
    for field in taken:
        if field not in (_METRICS, _IMAGE):
            raise InputError(_only_metrics(f"{field}.{next(iter(taken[field]))}"))
    values = dict(taken.get(_METRICS, {}))
    ranks = values.get("precision_ranks")
    if isinstance(ranks, int):  # As for a config: one number is a tuple of one.
        values["precision_ranks"] = (ranks,)
    mirror = taken.get(_IMAGE, {}).get(_MIRROR)
    return {"metrics": values, "mirror": mirror}


def refuse_unknown(config: ml_collections.ConfigDict, arguments: Sequence[str]) -> None:
    """Refuses overrides of fields that the config lacks.

    Raises:
      InputError: There is one; the message names it and the fields beside it.
    """
    for argument in arguments:
        match = _OVERRIDE.fullmatch(argument)
        if match is None:
            continue
        group, inside = config, ""
        for name in match[1].split("."):
            if not isinstance(group, ml_collections.ConfigDict) or name not in group:
                names = list(group) if isinstance(group, ml_collections.ConfigDict) else []
                alike = difflib.get_close_matches(name, names, 1)
                hint = f" Did you mean {alike[0]}?" if alike else ""
                raise InputError(
                    f"--config.{match[1]}: field {name!r} given; allowed: fields of "
                    f"config{inside}, {', '.join(sorted(names)) or 'which has none'}.{hint}"
                )
            group, inside = group[name], f"{inside}.{name}"


def explain(error: flags.Error) -> str:
    """Returns what the flags library says about the command line, in one line of jhash's words."""
    text = " ".join(str(error).split())
    if isinstance(error, flags.IllegalFlagValueError):
        match = re.fullmatch(r"flag --(\S+?)=(.*?): (.*)", text)
        if match and match[1].startswith("config.") and match[1] in flags.FLAGS:
            kind = flags.FLAGS[match[1]].parser.flag_type()
            allowed = _TYPES.get(kind, f"a value of the type {kind}")
            return f"{match[1]}: {match[2]!r} given; allowed: {allowed}."
        if match:
            return f"--{match[1]}: {match[2]!r} given; allowed: another value, as {match[3]}."
    if isinstance(error, flags.UnrecognizedFlagError) and error.flagname.startswith("config."):
        return _only_metrics(error.flagname.removeprefix("config."))
    return text


def _only_metrics(field):
    return (
        f"--config.{field}: given without --config; allowed: fields of config.metrics and "
        "config.image.mirror with --mode=eval, such as --config.metrics.map_at=5000, or any field "
        "with --config."
    )


def _read(text, tuples):
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    if tuples and isinstance(value, tuple | list) and all(map(_is_plain, value)):
        return tuple(value)
    return value if _is_plain(value) else text


def _is_plain(value):
    return value is None or isinstance(value, bool | int | float | str)
