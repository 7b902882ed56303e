"""The command line: `main` runs the commands `encode`, `index`, `search`, `report` and `sweep`.

`cell` is a process that `sweep` starts.

Modules that take seconds to import (JAX, the models) are imported where a command runs, so that
`--help` and errors in arguments appear at once.
"""

import argparse
from collections.abc import Callable, Sequence


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
