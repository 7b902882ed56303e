"""Runs side by side: in what their configs differ, and what a reader must know."""

from collections.abc import Sequence

import numpy as np

from jhash.runs.finished import Run

_ABSENT = "–"


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
