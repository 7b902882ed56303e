"""Reading of finished runs from their folders."""

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
      name: Name that no other run has that was read with it: that of its folder, after as many of
        the parent folders as are needed.
      workdir: The folder.
      results: The content of `results.json`.
      lines: The lines of `metrics.jsonl`.
      pretrain_lines: The lines of the logs that the method wrote before the first epoch, by the
        folder in `pretrain/`; DSTGeH's first stage has `embedding`.
      queries: The queries, encoded by the model, with labels; ids are indices into the source.
      databases: The database by the kind of its codes, `learned`, `encoded` or both.
    """

    name: str
    workdir: str
    results: dict[str, Any]
    lines: list[dict[str, float]]
    queries: Content
    databases: dict[str, Content]
    pretrain_lines: dict[str, list[dict[str, float]]] = dataclasses.field(default_factory=dict)

    @property
    def bits(self) -> int:
        """The code length."""
        return self.results["bits"]


def read_all(workdirs: Sequence[str]) -> list[Run]:
    """Reads finished runs.

    Raises:
      InputError: No folder is given, one is given twice, or one holds no finished run; the message
        names it.
    """
    if isinstance(workdirs, str) or not workdirs:
        raise InputError(f"workdirs: {workdirs!r} given; allowed: a list of one or more folders.")
    real_paths = set()
    for workdir in workdirs:
        if os.path.realpath(workdir) in real_paths:
            raise InputError(f"workdirs: {workdir} given twice; allowed: every run once.")
        real_paths.add(os.path.realpath(workdir))
    return [_read(*pair) for pair in zip(workdirs, _names(workdirs), strict=True)]


def _names(workdirs):
    """Returns the last parts of the paths, as many as it takes for all to differ."""
    parts = [pathlib.PurePath(os.path.abspath(workdir)).parts for workdir in workdirs]
    count = 0
    names: list[str] = []
    while len(set(names)) < len(parts):
        count += 1
        names = [os.path.join(*parts_of_path[-count:]) for parts_of_path in parts]
    return names


def _read(workdir, name):
    try:
        # The results are read first, since a run writes them last.
        results = schema.read_results(workdir)
        lines = log.read_lines(workdir)
        pretrain_lines = _pretrain_lines(paths.pretrain(workdir))
        queries = code_files.read_labeled(paths.codes(workdir, "queries"), results["bits"])
        databases = {
            kind: code_files.read_labeled(paths.codes(workdir, kind), results["bits"])
            for kind in paths.DATABASES
            if kind in results
        }
        _check_same(workdir, results, (queries, *databases.values()))
    except InputError as error:
        raise InputError(
            f"workdirs: {workdir} given, which holds no finished run: {error}"
        ) from error
    if not databases:
        raise InputError(
            f"workdirs: {workdir} given, which holds no finished run: it has no database codes."
        )
    return Run(name, workdir, results, lines, queries, databases, pretrain_lines)


def _check_same(workdir, results, code_sets):
    """Checks that codes are those of which the results are; older results do not say."""
    network = results.get("network")
    if network and any(codes.metadata.get("network") != network for codes in code_sets):
        raise InputError(
            f"codes/ are of another evaluation than results.json; python launch.py --mode=eval "
            f"--workdir={workdir} writes both again."
        )


def _pretrain_lines(folder):
    """Reads the logs in the folders of a folder that need not exist."""
    if not os.path.isdir(folder):
        return {}
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be read: {error.strerror}.") from error
    inner = {name: os.path.join(folder, name) for name in names}
    return {
        name: log.read_lines(path)
        for name, path in inner.items()
        if os.path.isfile(paths.metrics(path))
    }
