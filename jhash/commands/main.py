"""The command line: encode images, keep an index of their codes, search it, report on runs."""

import argparse
import os
import sys

from jhash.commands import encode, index, report, search
from jhash.errors import InputError

_DESCRIPTION = """\
Retrieval with a trained run (train one with launch.py). COMMAND --help has examples.

exit status: 0 done; 1 it could not be done, for the reason printed; 2 wrong use.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Args:
      arguments: By default those of the process.

    Returns:
      The exit status: 0; 1 after an error that the user can mend, printed in one line; 130 after
      Ctrl-C; 141 when the reader of the output went away. Wrong use leaves by SystemExit, with 2.
    """
    # Names of files may hold what the terminal's encoding lacks.
    sys.stdout.reconfigure(errors="backslashreplace")
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it ends, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    except (InputError, OSError) as error:
        print(f"jhash: {error}", file=sys.stderr)
        return 1
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m jhash",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (encode, index, search, report):
        command.add(commands)
    return parser
