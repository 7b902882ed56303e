"""Overrides of a config on the command line: what absl's flags leave to us."""

import ast
import re
from collections.abc import Sequence
from typing import Any

from jhash.errors import InputError

# Fields whose names are arguments of somebody else's function, so that no config lists them.
_OPEN = ("data.options", "optimizer.arguments")
_FLAG = re.compile(rf"--?config\.({'|'.join(map(re.escape, _OPEN))})\.(\w+)(?:=(.*))?", re.DOTALL)


def take_open(arguments: Sequence[str]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Takes the overrides of open fields, such as `--config.data.options.folder=LISTS`.

    A value that reads as an integer, a real number, True, False, None or a quoted text is that;
    anything else is a text as it stands.

    Args:
      arguments: The command line.

    Returns:
      (the arguments that are left, {field: {name: value}}).

    Raises:
      InputError: A value is missing.
    """
    left, taken = [], {}
    remaining = iter(arguments)
    for argument in remaining:
        match = _FLAG.fullmatch(argument)
        if match is None:
            left.append(argument)
            continue
        field, name, value = match.groups()
        value = next(remaining, None) if value is None else value
        if value is None:
            raise InputError(f"{argument}: no value given; write {argument}=VALUE.")
        taken.setdefault(field, {})[name] = _read(value)
    return left, taken


def apply_open(config, taken: dict[str, dict[str, Any]]) -> None:
    """Puts what `take_open` took into the config."""
    for path, values in taken.items():
        field = config
        for name in path.split("."):
            field = field[name]
        for name, value in values.items():
            # A new field, or one that held a value of another type.
            with field.unlocked(), field.ignore_type():
                field[name] = value


def unknown_field(error: AttributeError, arguments: Sequence[str]) -> InputError | None:
    """The error for an override of a field that the config lacks; None if it is no such error."""
    missing = re.search(r"\w+", str(error))[0]
    if not any(re.match(rf"--config\.(.*\.)?{missing}\b", text) for text in arguments):
        return None  # Not in an override, but in the config's own code.
    guess = re.search(r'Did you mean "(\w+)"', str(error))
    hint = f" Did you mean {guess[1]}?" if guess else ""
    return InputError(f"--config: the config has no field {missing!r}.{hint}")


def _read(text):
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if value is None or isinstance(value, bool | int | float | str) else text
