"""Comparison of runs: how their configs differ, and what a reader is warned of."""

import itertools
import json
from collections.abc import Iterator, Sequence

import numpy as np

from jhash.report.curves import Measured
from jhash.runs.finished import Run
from jhash.runs.paths import DATABASES

_ABSENT = "–"


def differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Returns the config fields in which runs differ: name -> values as text, one per run."""
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


def by_length(all_measured: Sequence[Measured]) -> Iterator[tuple[str, str, list[Measured]]]:
    """Groups runs whose configs differ in the code length alone.

    Yields:
      (label, kind, members) for each group and each kind of database codes that it has: a label
      that no other has, the kind, and the runs that have it, from short codes to long ones.
    """
    families: dict[str, list[Measured]] = {}
    for measured in sorted(all_measured, key=lambda measured: measured.run.bits):
        config = measured.run.results["config"] | {"bits": None}
        families.setdefault(json.dumps(config, sort_keys=True), []).append(measured)
    for family, kind in itertools.product(families.values(), DATABASES):
        members = [measured for measured in family if kind in measured.rankings]
        if members:
            label = f"{kind} codes"
            if len(families) > 1:
                label += f": {', '.join(measured.run.name for measured in family)}"
            yield label, kind, members


def warnings(runs: Sequence[Run]) -> list[str]:
    """Returns what a reader must know before comparing the runs; it may be nothing."""
    messages = [
        f"{run.name} is not trained to its end: it was evaluated after epoch "
        f"{run.results['epochs']} of {run.results['epochs_planned']}."
        for run in runs
        if run.results["epochs"] < run.results["epochs_planned"]
    ]
    reference, *others = runs
    different = [run.name for run in others if not _same_data(reference, run)]
    if different:
        messages.append(
            f"Not comparable: {', '.join(different)} and {reference.name} differ in data set, "
            "split, queries or database. Curves of different data do not tell which run is better."
        )
    return messages


def _same_data(one, other):
    """Compares data set and split, then the ids and labels of queries and database."""
    for field in ("source", "split"):
        if one.results["data"][field] != other.results["data"][field]:
            return False
    pairs = (one.queries, other.queries), (_database(one), _database(other))
    return all(
        np.array_equal(mine.ids, theirs.ids) and np.array_equal(mine.labels, theirs.labels)
        for mine, theirs in pairs
    )


def _database(run):
    """Returns the database with either kind of codes: the images are the same."""
    return next(iter(run.databases.values()))
