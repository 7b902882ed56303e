"""The choice of a grid's values, by validation alone."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from jhash.errors import InputError
from jhash.sweeps import finished
from jhash.sweeps.plan import Candidate, Cell, Place, Plan


class Tried(NamedTuple):
    """What the validation says of the candidates of a place.

    Attributes:
      place: The place.
      chosen: The candidate that is best.
      metric: Name of the metric.
      scores: The metric of each candidate with the first seed; None where it is not finished.
      failures: The error of each candidate with the first seed; empty where there is none.
    """

    place: Place
    chosen: Candidate
    metric: str
    scores: Sequence[float | None]
    failures: Sequence[str]


def first_round(plan: Plan) -> list:
    """Returns the cells that are trained before the choice: every candidate with the first seed."""
    return [
        candidate.cells[0]
        for place in plan.places
        for candidate in place.candidates
        if len(place.candidates) > 1
    ]


def choose(
    plan: Plan, by: str | None, wanted: Callable[[Place], bool], failures: Mapping[str, str]
) -> tuple[Plan, list[Tried]]:
    """Chooses a candidate for each place; further seeds train the chosen one only.

    The highest value of the validation's metric wins; of equal ones, the first in the grid.

    Args:
      plan: The plan.
      by: Name of a metric of the validation, such as `map_encoded`; None: that of each row, as for
        places that are not wanted.
      wanted: Function that tells if this sweep trains a place.
      failures: The errors of runs by their folders.

    Returns:
      (plan, tried): the plan with at most one candidate for each place, and what was compared for
      those of which a candidate is finished.

    Raises:
      InputError: A finished run of a wanted place has no such metric.
    """
    places, tried = [], []
    for place in plan.places:
        if len(place.candidates) < 2:
            places.append(place)
            continue
        metric = metric_of(place, by) if wanted(place) else place.row.choose_by
        firsts = [candidate.cells[0] for candidate in place.candidates]
        if wanted(place):
            for cell in firsts:
                check_metric(cell, metric)
        scores = [_score(cell, metric) for cell in firsts]
        known = [score for score in scores if score is not None]
        if known:
            chosen = place.candidates[scores.index(max(known))]
            errors = [failures.get(cell.workdir, "") for cell in firsts]
            tried.append(Tried(place, chosen, metric, scores, errors))
        else:  # There is nothing to show but an error, if there is one; no more seeds are trained.
            first = place.candidates[0]
            chosen = dataclasses.replace(first, cells=first.cells[:1])
        places.append(dataclasses.replace(place, candidates=[chosen]))
    return dataclasses.replace(plan, places=places), tried


def metric_of(place: Place, by: str | None) -> str:
    """Returns the name of the metric that chooses for a place; see `choose`."""
    return by or place.row.choose_by


def check_metric(cell: Cell, metric: str) -> None:
    """Checks that the validation of a cell has a metric, if the cell is finished.

    Raises:
      InputError: It has no such metric.
    """
    results = finished.read(cell)
    if results is None:
        return
    metrics = finished.validation(results)
    if metric not in metrics:
        names = ", ".join(sorted(metrics))
        raise InputError(
            f"--by: {metric!r} given; allowed: metrics of the validation of {cell.workdir}, "
            + (f"which are {names}." if names else "which has none. Remove the folder.")
        )


def _score(cell, metric):
    return finished.validation(finished.read(cell) or {}).get(metric)
