"""Which runs of a table are finished, and what they measured; results of others are data."""

import math
from collections.abc import Mapping
from typing import Any

from jhash.errors import InputError
from jhash.runs import schema
from jhash.sweeps.plan import Cell


def read(cell: Cell) -> dict[str, Any] | None:
    """Reads the results of a cell; None if its run is not trained and measured to the end."""
    try:
        results = schema.read_results(cell.workdir)
    except InputError:
        return None
    stopped_early = results.get("validation", {}).get("stopped_early", False)
    ended = results["epochs"] >= results["epochs_planned"] or stopped_early
    return results if ended and results["config"] == cell.config else None


def number(results: Mapping[str, Any], key: str) -> float | None:
    """Returns a number of results by its place, such as `learned.map`; None if there is none."""
    value: Any = results
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if type(value) not in (int, float) or not math.isfinite(value):
        return None
    return float(value)


def validation(results: Mapping[str, Any]) -> dict[str, float]:
    """Returns the metrics of the validation by name; empty if the run has none."""
    return results.get("validation", {}).get("metrics", {})
