"""The command line: encodes images, keeps an index of their codes, searches it, reports on runs."""

import argparse
import os
import sys

from jhash.commands import encode, index, report, search
from jhash.errors import InputError

_DESCRIPTION = """\
Retrieval with a trained run (train one with launch.py). COMMAND --help has examples.

exit status: 0 done; 1 failed, for the reason that is printed; 2 wrong use.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Args:
      arguments: The words of the command; by default those that the process was started with.

    Returns:
      The exit status: 0 when done; 1 after an error that the user can mend, printed in one line;
      130 after Ctrl-C; 141 if the reader of the output has closed it.

    Raises:
      SystemExit: The arguments are wrong (status 2), or help was printed (status 0).
    """
    # File names may have characters that the terminal's encoding lacks.
    sys.stdout.reconfigure(errors="backslashreplace")
    parsed = _parser().parse_args(arguments)
    # The current folder may hold files of somebody else. So it is on the import path only for the
    # modules that this very command trusts.
    if getattr(parsed, "trust_modules", ()) and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        parsed.run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it ends, which must not fail again.
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
