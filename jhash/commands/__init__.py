"""The command line: `main` runs one of the other modules, which are commands.

`cell` is a process that `sweep` starts.

Modules that take seconds to import (JAX, the models) are imported where a command runs, so that
`--help` and errors in arguments appear at once.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from jhash.system import text


def parser(
    commands, name: str, summary: str, details: str, examples: Sequence[str]
) -> argparse.ArgumentParser:
    """Adds a command to a group of commands.

    Args:
      commands: The group, as `argparse` makes it by `add_subparsers`.
      name: Name of the command.
      summary: Description in a few words, for the list of commands.
      details: Text that --help prints as it is.
      examples: Command lines that --help prints, without `python -m jhash`.

    Returns:
      The parser of the command's arguments.
    """
    lines = [f"{summary[0].upper()}{summary[1:]}.", details, "examples:"]
    lines += [f"  python -m jhash {example}" for example in examples]
    return commands.add_parser(
        name,
        help=summary,
        description="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def at_least(smallest: int) -> Callable[[str], int]:
    """Returns the type, for argparse, of integers that are `smallest` or more."""

    def number(text):
        value = int(text)
        if value < smallest:
            raise argparse.ArgumentTypeError(f"{value} given; allowed: {smallest} or more")
        return value

    return number


def add_trust(command) -> None:
    """Adds --trust-modules to a command that opens a run."""
    command.add_argument(
        "--trust-modules",
        type=lambda text: text.split(","),
        default=(),
        metavar="MODULE,...",
        help="modules of your own that the run may name, found in the current folder; their code "
        "is run (default: only those of jhash)",
    )


def add_json(command) -> None:
    """Adds --json to a command that ends with `tell`."""
    command.add_argument(
        "--json", action="store_true", help="print one line of JSON in place of words"
    )


def tell(arguments, words: str, **fields: Any) -> None:
    """Prints what a command has done.

    Args:
      arguments: The arguments of the command, `json` among them.
      words: Lines for people.
      **fields: The same for programs, as JSON can hold it.
    """
    print(json.dumps(_plain(fields)) if arguments.json else words)


def _plain(value):
    """Writes bytes of names that are no text as `\\xff`, since JSON has no half characters."""
    if isinstance(value, str):
        return text.decodable(value)
    if isinstance(value, dict):
        return {_plain(name): _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
