"""The command line: encodes images, keeps, searches and serves an index, reports on runs."""

import argparse
import os
import sys
from typing import NoReturn

import jhash
from jhash.commands import boundary, duplicates, encode, export, index, report, search, serve, sweep

_DESCRIPTION = """\
Search of your own images, and of those of trained runs (train one with launch.py).
COMMAND --help has examples.

exit status: 0 done; 1 failed, for the reason that is printed; 2 wrong use; 130 after
Ctrl-C, 143 after SIGTERM, 141 if the reader of the output has closed it.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Args:
      arguments: The words of the command; by default those that the process was started with.

    Returns:
      The exit status; see `boundary.run`.

    Raises:
      SystemExit: The arguments are wrong (status 2), or help was printed (status 0).
    """
    return boundary.run(lambda: _run(arguments))


def script() -> NoReturn:
    """Runs the command of this process, and ends the process; see `boundary.leave`."""
    status = main()
    # Only a command that has imported it can have joined other processes.
    parallel = sys.modules.get("jhash.parallel")
    if parallel is not None and parallel.joined():
        parallel.leave(status)
    boundary.leave(status)


def _run(arguments):
    # File names may have characters that the terminal's encoding lacks.
    sys.stdout.reconfigure(errors="backslashreplace")
    parsed = _parser().parse_args(arguments)
    # The current folder may hold files of somebody else. So it is on the import path only for the
    # modules that this very command trusts.
    if getattr(parsed, "trust_modules", ()) and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    parsed.run(parsed)


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m jhash",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"jhash {jhash.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (encode, index, search, duplicates, serve, report, export, sweep):
        command.add(commands)
    return parser
