"""A whole sweep: plans, trains what is missing, chooses, and writes the table."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tqdm

from jhash.errors import InputError, printable
from jhash.sweeps import choice, failures, finished, output, plan, programs, training
from jhash.sweeps.plan import Cell, Options, Plan
from jhash.sweeps.table import Table


class Made(NamedTuple):
    """What a sweep has made.

    Attributes:
      markdown: The table.
      files: Names of the table's files.
      cells: Number of runs that the sweep was to have.
      failed: Number of those that have failed.
    """

    markdown: str
    files: Sequence[str]
    cells: int
    failed: int


def run(
    table: Table,
    options: Options,
    folder: str,
    load: Callable,
    command: Sequence[str],
    *,
    only: Sequence[str] = (),
    workers: int = 1,
    choose_by: str | None = None,
    train: bool = True,
) -> Made:
    """Trains the runs of a table that are missing, and writes the table.

    A sweep that was stopped or killed goes on with the same call: finished runs are kept, and one
    that was cut short is resumed.

    Args:
      table: The table.
      options: What to make of it.
      folder: Folder of the table's files.
      load: Function that loads the config `FILE.py:ARGUMENT`.
      command: The words that start a process that trains a run; see `training.in_processes`.
      only: Names of rows, columns and data sets; only runs of these are trained. Names of one kind
        are alternatives.
      workers: Number of runs at a time; 1 trains in this process.
      choose_by: Metric of the validation that chooses values of a grid; None: that of each row.
      train: Whether to train what is missing.

    Raises:
      InputError: A name or a field of the grid is not known, or the validation has no such metric.
        That is known once the first run is finished, which is kept.
      KeyboardInterrupt: Ctrl-C; a line on stderr says what is done.
    """
    wanted = _Wanted(table, only)
    planned = plan.make(table, options, load)
    sweep = _Sweep(workers, command, os.path.join(folder, "logs"))
    first = choice.first_round(_filtered(planned, wanted))
    if train:
        metrics = {
            candidate.cells[0].workdir: choice.metric_of(place, choose_by)
            for place in planned.places
            for candidate in place.candidates
        }
        sweep.train(first, lambda cell: choice.check_metric(cell, metrics[cell.workdir]))
    # Errors of earlier sweeps are shown until the runs are trained.
    errors = failures.unfinished({**failures.read(folder), **sweep.failures}, _cells(planned))
    chosen, tried = choice.choose(planned, choose_by, wanted, errors)
    shown = _cells(_filtered(chosen, wanted))
    if train:
        sweep.train(shown)
        errors = failures.unfinished({**errors, **sweep.failures}, _cells(planned))
    markdown = output.write(chosen, errors, tried, folder)
    failures.write(folder, errors)
    runs = {cell.workdir for cell in (*first, *shown)}
    # A candidate that failed is no failure of the table if another one was chosen.
    tried_runs = {cell.workdir for one in tried for cell in _cells_of(one.place)}
    beaten = tried_runs - {cell.workdir for cell in shown}
    failed = (runs & errors.keys()) - beaten
    broken = sum(bool(place.failure) for place in _filtered(planned, wanted).places)
    return Made(markdown, output.NAMES, len(runs) + broken, len(failed) + broken)


class _Wanted:
    """The places that `--only` leaves."""

    def __init__(self, table, only):
        kinds = {
            "row": [row.name for row in table.rows],
            "column": [column.name for column in table.columns],
            "data": [data.name for data in table.data],
        }
        self._names = {}
        for word in only:
            matches = [
                (kind, name)
                for kind, names in kinds.items()
                for name in names
                if name.casefold() == word.casefold()
            ]
            if not matches:
                allowed = "; ".join(", ".join(names) for names in kinds.values())
                raise InputError(f"--only: {word!r} given; allowed: {allowed}.")
            for kind, name in matches:
                self._names.setdefault(kind, set()).add(name)

    def __call__(self, place):
        return all(getattr(place, kind).name in names for kind, names in self._names.items())


def _filtered(planned: Plan, wanted):
    places = [place for place in planned.places if wanted(place)]
    return dataclasses.replace(planned, places=places)


def _cells(planned):
    return [cell for place in planned.places for cell in _cells_of(place)]


def _cells_of(place):
    return [cell for candidate in place.candidates for cell in candidate.cells]


class _Sweep:
    """The trainings of a sweep, with one bar over all of them.

    Attributes:
      failures: The errors of runs by their folders.
    """

    def __init__(self, workers, command, logs):
        self.failures: dict[str, str] = {}
        self._workers, self._command, self._logs = workers, command, logs

    def train(self, cells: Sequence[Cell], check: Callable[[Cell], None] = lambda cell: None):
        """Trains the cells that are missing, and calls a function with each that is trained."""
        unique = {cell.workdir: cell for cell in cells}
        cells = [
            cell
            for cell in training.missing(list(unique.values()))
            if cell.workdir not in self.failures
        ]
        if not cells:
            return
        done = len(unique) - len(cells)
        with (
            programs.shared(here=self._workers == 1),
            _goes_on(lambda: (done, len(unique))),
            tqdm.tqdm(
                total=len(unique), initial=done, desc="cells", unit="cell", mininterval=0.5
            ) as bar,
        ):

            def ended(cell, error):
                nonlocal done
                if not error and finished.read(cell) is None:
                    error = f"{cell.workdir}: the run has ended without results of its config."
                if error:
                    self.failures[cell.workdir] = error
                    bar.write(printable(f"{cell.name}: failed: {error}"), file=sys.stderr)
                else:
                    done += 1
                    bar.write(_line(cell), file=sys.stderr)
                bar.update()
                check(cell)

            if self._workers == 1:
                training.here(cells, ended)
            else:
                workers = min(self._workers, len(cells))
                devices = training.environments(workers)
                training.in_processes(cells, ended, self._command, devices, self._logs)


@contextlib.contextmanager
def _goes_on(counts):
    """Says how to go on if a signal ends the block."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        done, total = counts()
        with contextlib.suppress(OSError):
            print(
                f"jhash: the sweep has stopped; {done} of {total} cells are done. The same command "
                "goes on from there.",
                file=sys.stderr,
            )
        raise


def _line(cell):
    """Describes a finished cell."""
    results = finished.read(cell) or {}
    scores = [
        f"{key} {value:.4f}"
        for key in ("map_learned", "map_encoded")
        if (value := finished.number(results, key)) is not None
    ]
    seconds = finished.number(results, "train_seconds") or 0
    return printable(f"{cell.name}: {', '.join(scores)} ({seconds:.0f} s)")
