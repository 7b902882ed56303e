"""One file a command: `add` describes its arguments, `run` runs it.

What takes seconds to import (JAX, the models) is imported where a command runs, so that `--help`
and a mistyped argument answer at once.
"""

import argparse
from collections.abc import Sequence


def parser(
    commands, name: str, summary: str, details: str, examples: Sequence[str]
) -> argparse.ArgumentParser:
    """Adds a command; its --help prints `details` and the examples as they are."""
    lines = [f"{summary[0].upper()}{summary[1:]}.", details, "examples:"]
    lines += [f"  python -m jhash {example}" for example in examples]
    return commands.add_parser(
        name,
        help=summary,
        description="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def at_least(least: int):
    """An argument's type: an integer, `least` or more."""

    def number(text):
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} given; allowed is {least} or more")
        return value

    return number
