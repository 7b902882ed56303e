"""The errors of runs that failed, kept beside a table until the runs are trained."""

import contextlib
import os
from collections.abc import Iterable, Mapping

from jhash.sweeps import finished
from jhash.sweeps.plan import Cell
from jhash.system import files, reading

_NAME = "failures.json"


def read(folder: str) -> dict[str, str]:
    """Reads the errors that an earlier sweep left, by the folders of their runs.

    Args:
      folder: The folder of the table. A file that is no such list there counts as empty.
    """
    with contextlib.suppress(OSError, ValueError):
        found = reading.read_json(os.path.join(folder, _NAME))
        if isinstance(found, dict) and all(isinstance(error, str) for error in found.values()):
            return found
    return {}


def write(folder: str, failures: Mapping[str, str]) -> None:
    """Writes the errors; without any, there is no file.

    Raises:
      OSError: The file cannot be written.
    """
    path = os.path.join(folder, _NAME)
    if failures:
        files.write_json(path, failures)
    elif os.path.lexists(path):
        os.remove(path)


def unfinished(failures: Mapping[str, str], cells: Iterable[Cell]) -> dict[str, str]:
    """Returns the errors without those of cells that are finished by now."""
    done = {
        cell.workdir
        for cell in cells
        if cell.workdir in failures and finished.read(cell) is not None
    }
    return {workdir: error for workdir, error in failures.items() if workdir not in done}
