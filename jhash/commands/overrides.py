"""Overrides of a config on the command line that absl's flags do not handle."""

import ast
import re
from collections.abc import Sequence
from typing import Any

from jhash.errors import InputError

# Fields that hold arguments of another function. A config need not list their names.
_OPEN = ("data.options", "optimizer.arguments")
_FLAG = re.compile(rf"--?config\.({'|'.join(map(re.escape, _OPEN))})\.(\w+)(?:=(.*))?", re.DOTALL)


def take_open(arguments: Sequence[str]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Takes the overrides of open fields, such as `--config.data.options.folder=LISTS`.

    A value that reads as an integer, a real number, True, False, None or a quoted text becomes
    that; any other value stays a text.

    Args:
      arguments: Words of the command line.

    Returns:
      (the other arguments, {field: {name: value}}).

    Raises:
      InputError: A value is missing.
    """
    left = []
    taken = {}
    remaining = iter(arguments)
    for argument in remaining:
        match = _FLAG.fullmatch(argument)
        if match is None:
            left.append(argument)
            continue
        field, name, value = match.groups()
        value = next(remaining, None) if value is None else value
        if value is None:
            raise InputError(f"{argument}: no value given; allowed: {argument}=VALUE.")
        taken.setdefault(field, {})[name] = _read(value)
    return left, taken


def apply_open(config, taken: dict[str, dict[str, Any]]) -> None:
    """Puts the overrides that `take_open` took into the config."""
    for path, values in taken.items():
        field = config
        for name in path.split("."):
            field = field[name]
        for name, value in values.items():
            # The field may be new, or hold a value of another type.
            with field.unlocked(), field.ignore_type():
                field[name] = value


def unknown_field(error: AttributeError, arguments: Sequence[str]) -> InputError | None:
    """Explains the error of an override of a field that the config lacks.

    Args:
      error: The error that reading the flags raised.
      arguments: Words of the command line.

    Returns:
      An error that names the field, or None if the error has another cause.
    """
    missing = re.search(r"\w+", str(error))[0]
    if not any(re.match(rf"--config\.(.*\.)?{missing}\b", text) for text in arguments):
        return None  # The config's own code raised it.
    guess = re.search(r'Did you mean "(\w+)"', str(error))
    hint = f" Did you mean {guess[1]}?" if guess else ""
    return InputError(f"--config: field {missing!r} given; allowed: fields of the config.{hint}")


def _read(text):
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if value is None or isinstance(value, bool | int | float | str) else text
