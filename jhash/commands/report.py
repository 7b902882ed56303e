"""The command `python -m jhash report`: a page about one run, or several side by side."""

import sys

from jhash.commands import add_json, add_trust, parser, tell
from jhash.errors import in_config, printable
from jhash.system import files

_SUMMARY = "write a page with the curves and retrieved images of runs"
_DETAILS = """
The page is one file, which needs no other file and no connection.
"""
_EXAMPLES = (
    "report RUN                 writes RUN/report.html",
    "report RUN12 RUN24 RUN48   compares them, in report.html",
)


def add(commands):
    """Adds the command and its arguments."""
    command = parser(commands, "report", _SUMMARY, _DETAILS, _EXAMPLES)
    command.add_argument("workdirs", nargs="+", metavar="RUN", help="a run's folder")
    command.add_argument(
        "--output",
        metavar="FILE",
        help="the file to write; default: report.html in the run's folder, or for several runs in "
        "the current folder",
    )
    add_json(command)
    add_trust(command)
    command.set_defaults(run=run)


def run(arguments):
    """Writes the page."""
    workdirs = arguments.workdirs
    path = arguments.output or _default_path(workdirs)
    files.check_output(path)
    from jhash import report

    with in_config({"workdirs": "RUN", "path": "--output"}):
        missing = report.write(workdirs, path, arguments.trust_modules)
    for line in missing:
        print(f"jhash: {printable(line)}", file=sys.stderr)
    tell(arguments, f"The report is in {path}.", report=path, missing=list(missing))


def _default_path(workdirs):
    from jhash.runs import paths

    return paths.report(workdirs[0] if len(workdirs) == 1 else "")
