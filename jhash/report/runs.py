"""Finished runs, read back from their folders, and in what they differ."""

import dataclasses
import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jhash.errors import InputError
from jhash.report import fields
from jhash.retrieval import code_files
from jhash.retrieval.checks import as_codes

# The two kinds of database codes, never mixed, in the order in which they are shown.
KINDS = ("learned", "encoded")
# What reading a damaged file raises.
DAMAGED = OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error
_ABSENT = "–"


class Codes(NamedTuple):
    """Packed codes uint32 [N, words], labels [N] or [N, C], and indices into the source [N]."""

    codes: np.ndarray
    labels: np.ndarray
    ids: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes:
      name: What tells it from the other runs: its folder's name, with parents if need be.
      workdir: The folder.
      results: The content of `results.json`.
      lines: The lines of `metrics.jsonl`.
      queries: The queries, encoded by the network.
      databases: The database by the kind of its codes: `learned`, `encoded`, or both.
    """

    name: str
    workdir: str
    results: dict[str, Any]
    lines: list[dict[str, float]]
    queries: Codes
    databases: dict[str, Codes]

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
    path = os.path.join(workdir, "results.json")
    try:
        with open(path, encoding="utf-8") as file:
            results = json.load(file)
        fields.check_results(path, results, KINDS)
        path = os.path.join(workdir, "metrics.jsonl")
        lines = _read_lines(path)
        path = os.path.join(workdir, "codes", "queries.npz")
        queries = _read_codes(path, results["bits"])
        databases = {}
        for kind in KINDS:
            if kind in results:
                path = os.path.join(workdir, "codes", code_files.DATABASES[kind])
                databases[kind] = _read_codes(path, results["bits"])
    except DAMAGED as error:
        raise InputError(
            f"workdirs: {workdir} holds no finished run: {path} cannot be read ({error})."
        ) from error
    if not databases:
        raise InputError(f"workdirs: {workdir} holds no finished run: it has no database codes.")
    return Run(name, workdir, results, lines, queries, databases)


def _read_lines(path):
    if not os.path.exists(path):
        return []  # A run may have logged nothing.
    with open(path, encoding="utf-8") as file:
        # A kill may have left the last line unfinished.
        lines = [json.loads(line) for line in file if line.endswith("\n")]
    for number, line in enumerate(lines, 1):
        fields.check_line(f"{path}, line {number}", line)
    return lines


def _read_codes(path, bits):
    with np.load(path) as saved:
        part = Codes(saved["codes"], saved["labels"], saved["ids"])
        stored = int(saved["bits"])
    if stored != bits or not len(part.codes) == len(part.labels) == len(part.ids) > 0:
        raise InputError(
            f"workdirs: {path} holds {len(part.codes)} codes of {stored} bits, {len(part.labels)} "
            f"labels and {len(part.ids)} ids; must be as many of each, and {bits} bits as in "
            "results.json."
        )
    for name, array, most in ("labels", part.labels, 2), ("ids", part.ids, 1):
        if array.dtype.kind not in "iub" or not 1 <= array.ndim <= most:
            raise InputError(
                f"workdirs: {path}: {name} are {array.dtype}{list(array.shape)}; must be integers, "
                f"[N]{' or [N, C]' if most == 2 else ''}."
            )
    as_codes(path, part.codes, bits)
    return part


def differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The fields of the config in which runs differ: name -> values as text, one a run."""
    configs = [_flatten(run.results["config"]) for run in runs]
    rows = {
        field: [repr(config[field]) if field in config else _ABSENT for config in configs]
        for field in sorted(set().union(*configs))
    }
    return {field: values for field, values in rows.items() if len(set(values)) > 1}


def _flatten(fields, prefix=""):
    flat = {}
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def warnings(runs: Sequence[Run]) -> list[str]:
    """What a reader must know before comparing the runs; empty when there is nothing."""
    found = [
        f"{run.name} is not trained to its end: it was evaluated after epoch "
        f"{run.results['epochs']} of {run.results['epochs_planned']}."
        for run in runs
        if run.results["epochs"] < run.results["epochs_planned"]
    ]
    first = runs[0]
    others = [run.name for run in runs[1:] if not _same_data(first, run)]
    if others:
        found.append(
            f"Not comparable: {', '.join(others)} and {first.name} differ in data set, split, "
            "queries or database. Curves of different data say nothing about which run is better."
        )
    return found


def _same_data(a, b):
    names = [[run.results["data"][field] for field in ("source", "split")] for run in (a, b)]
    parts = [
        (run.queries.ids, run.queries.labels, database.ids, database.labels)
        for run in (a, b)
        for database in list(run.databases.values())[:1]
    ]
    return names[0] == names[1] and all(map(np.array_equal, *parts))
