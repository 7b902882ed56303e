"""Finished runs, read back from their folders."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from jhash.errors import InputError
from jhash.runs import code_files, log, paths, schema
from jhash.runs.code_files import Content


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes:
      name: What tells it from the other runs: its folder's name, with parents if need be.
      workdir: The folder.
      results: The content of `results.json`.
      lines: The lines of `metrics.jsonl`.
      queries: The queries, encoded by the model, with labels and indices into the source as ids.
      databases: The database by the kind of its codes: `learned`, `encoded`, or both.
    """

    name: str
    workdir: str
    results: dict[str, Any]
    lines: list[dict[str, float]]
    queries: Content
    databases: dict[str, Content]

    @property
    def bits(self) -> int:
        """The code length."""
        return self.results["bits"]


def read_all(workdirs: Sequence[str]) -> list[Run]:
    """Reads finished runs.

    Raises:
      InputError: No folder, one given twice, or one that holds no finished run; it is named.
    """
    if isinstance(workdirs, str) or not workdirs:
        raise InputError(f"workdirs: got {workdirs!r}; give a list of one run's folder or more.")
    seen = set()
    for workdir in workdirs:
        if os.path.realpath(workdir) in seen:
            raise InputError(f"workdirs: {workdir} is given twice; give every run once.")
        seen.add(os.path.realpath(workdir))
    return [_read(*pair) for pair in zip(workdirs, _names(workdirs), strict=True)]


def _names(workdirs):
    """The last parts of the paths, as many as it takes to tell them apart."""
    paths = [pathlib.PurePath(os.path.abspath(workdir)).parts for workdir in workdirs]
    count, names = 0, []
    while len(set(names)) < len(paths):
        count += 1
        names = [os.path.join(*parts[-count:]) for parts in paths]
    return names


def _read(workdir, name):
    # Written last, when everything else is there.
    try:
        results = schema.read_results(workdir)
        lines = log.read_lines(workdir)
        queries = code_files.read_labeled(paths.codes(workdir, "queries"), results["bits"])
        databases = {
            kind: code_files.read_labeled(paths.codes(workdir, kind), results["bits"])
            for kind in paths.DATABASES
            if kind in results
        }
    except InputError as error:
        raise InputError(f"workdirs: {workdir} holds no finished run: {error}") from error
    if not databases:
        raise InputError(f"workdirs: {workdir} holds no finished run: it has no database codes.")
    return Run(name, workdir, results, lines, queries, databases)
