"""The command `python -m jhash sweep`: trains the missing runs of a table, and writes the table."""

import argparse
import ast
import contextlib
import os
import re
import sys

from jhash.commands import add_json, at_least, parser, tell
from jhash.errors import InputError, printable
from jhash.system import files

_SUMMARY = "train the missing runs of a table or of a config, and write the table"
_DETAILS = """
A table is a Python file with a function get_table; those of the papers are in configs/tables/. Each
of its runs is an ordinary one, in the folder that launch.py gives it. Stop or kill a sweep whenever
you like: the same command goes on. A config in place of a table is run with several seeds, or with
the values of a grid.

--grid chooses the values of fields by validation. It takes images of the training set for that
(--validation), where the config has none.

exit status: 1 if a run has failed, or none can be made here; the table says why.
"""
_EXAMPLES = (
    "sweep configs/tables/fdah_table1.py --quick",
    "sweep configs/tables/dah_table2.py --seeds 3 --workers 2",
    "sweep configs/tables/dah_table2.py --only DAH NoneA-DAH '12 bits'",
    "sweep configs/tables/fdah_table1.py --grid optimizer.learning_rate=1e-3,3e-3,1e-2",
    "sweep configs/fdah.py:bits=24 --seeds 5",
)


def add(commands):
    """Adds the command and its arguments."""
    command = parser(commands, "sweep", _SUMMARY, _DETAILS, _EXAMPLES)
    command.add_argument(
        "table", metavar="TABLE", help="the file of the table, or FILE.py:ARGUMENT of a config"
    )
    command.add_argument(
        "--seeds", type=at_least(1), metavar="N", help="number of seeds (default: the table's)"
    )
    command.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="train only these rows, columns and data sets; the table shows all that is there",
    )
    command.add_argument(
        "--workers", type=at_least(1), default=1, metavar="N", help="runs at a time (default: 1)"
    )
    command.add_argument(
        "--grid",
        type=_grid,
        action="append",
        default=[],
        metavar="FIELD=A,B,...",
        help="values of a field of the config, of which validation chooses one",
    )
    command.add_argument("--by", metavar="METRIC", help="the metric of the validation that chooses")
    command.add_argument(
        "--validation",
        type=at_least(1),
        metavar="N",
        help="images of the training set to choose with, if the config has none (default: 1000)",
    )
    command.add_argument(
        "--folder",
        type=_folder,
        action="append",
        default=[],
        metavar="DATA=FOLDER",
        help="folder of a data set of the table, such as NUS-WIDE=LISTS",
    )
    command.add_argument(
        "--quick", action="store_true", help="the quick version, on small data that come with jhash"
    )
    command.add_argument("--smoke", action="store_true", help="tiny runs on random images, to test")
    command.add_argument(
        "--table", dest="table_only", action="store_true", help="train nothing, write the table"
    )
    command.add_argument(
        "--runs", default="runs", metavar="FOLDER", help="folder of the runs (default: runs)"
    )
    command.add_argument(
        "--output",
        metavar="FOLDER",
        help="folder of the table's files (default: tables/NAME)",
    )
    add_json(command)
    command.set_defaults(run=run)


def run(arguments):
    """Trains what is missing, writes the table, and prints it."""
    # A user's own loss, method or source lies in the folder where the command is given, and so do
    # the configs that a table names.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    from jhash.commands import cell, config_file
    from jhash.sweeps import plan, sweep

    table = _table(arguments)
    grid = dict(arguments.grid)
    if len(grid) < len(arguments.grid):
        raise InputError("--grid: a field given twice; allowed: each field once.")
    for option in ("by", "validation"):
        if getattr(arguments, option) is not None and not grid:
            raise InputError(
                f"--{option}: {getattr(arguments, option)} given without --grid; allowed: with "
                "--grid only, as it is about the choice of values."
            )
    options = plan.Options(
        seeds=arguments.seeds,
        grid=grid,
        quick=arguments.quick,
        smoke=arguments.smoke,
        runs=arguments.runs,
        validation=arguments.validation or plan.Options.validation,
        folders=dict(arguments.folder),
    )
    folder = arguments.output or _default_folder(arguments)
    files.check_output(os.path.join(folder, "table.md"))
    made = sweep.run(
        table,
        options,
        folder,
        config_file.load,
        cell.COMMAND,
        only=arguments.only,
        workers=arguments.workers,
        choose_by=arguments.by,
        train=not arguments.table_only,
    )
    tell(
        arguments,
        f"{printable_lines(made.markdown)}\nThe table is in {folder}: {', '.join(made.files)}.",
        folder=folder,
        files=list(made.files),
        runs=made.cells,
        failed=made.failed,
    )
    if not made.cells:
        raise InputError(
            f"TABLE: {arguments.table} given, and none of the runs asked for can be made here; the "
            "table says why."
        )
    if made.failed:
        raise InputError(
            f"{made.failed} of {made.cells} runs failed; the table says why. The same command "
            "tries them again."
        )


def _table(arguments):
    """Loads the table, or makes one of a config."""
    from jhash import sweeps
    from jhash.commands import config_file
    from jhash.sweeps import of_config

    given = arguments.table
    path = given.partition(":")[0]
    if config_file.first_of(path, ("get_table", "get_config")) != "get_config":
        return sweeps.check(
            config_file.call(given, "get_table", [], "TABLE", "configs/tables/fdah_table1.py")
        )
    if arguments.quick:
        raise InputError(
            "--quick: given with a config; allowed: with a table, which says what is quick. Fields "
            "of a config, such as epochs, are shortened by --grid."
        )
    return of_config.make(given, config_file.load(given))


def printable_lines(text):
    """Escapes what a terminal would obey in the lines of a text."""
    return "\n".join(map(printable, text.splitlines()))


def _default_folder(arguments):
    path, _, argument = arguments.table.partition(":")
    name = os.path.splitext(os.path.basename(path))[0]
    name += re.sub(r"[^\w.=]+", "-", f"-{argument}").rstrip("-")
    # The runs of another version are other runs, whose table replaces none.
    for flag in ("quick", "smoke", "grid"):
        name += f"-{flag}" if getattr(arguments, flag) else ""
    return os.path.join("tables", name)


def _folder(text):
    name, equals, folder = text.partition("=")
    if not equals or not folder:
        raise argparse.ArgumentTypeError(f"{text!r} given; allowed: DATA=FOLDER")
    return name, folder


def _grid(text):
    """Reads FIELD=A,B,...; a comma within brackets or quotes parts nothing."""
    field, equals, values = text.partition("=")
    if not equals or not re.fullmatch(r"\w+(\.\w+)*", field) or not values:
        raise argparse.ArgumentTypeError(f"{text!r} given; allowed: FIELD=A,B,...")
    field = field.removeprefix("config.")
    try:
        several = ast.literal_eval(f"({values},)")
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        several = tuple(values.split(","))  # Words without quotes.
        several = tuple(map(_value, several))
    return field, several


def _value(text):
    with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        return ast.literal_eval(text)
    return text
