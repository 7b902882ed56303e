"""The numbers of the page, computed from a run's codes."""

import dataclasses
from typing import NamedTuple

import numpy as np

from jhash import retrieval
from jhash.errors import InputError
from jhash.runs.code_files import Content
from jhash.runs.finished import Run


class Ranking(NamedTuple):
    """What the queries find in a database of one kind of codes.

    Attributes:
      total: Pairs of any kind at each distance, int64 [bits + 1].
      relevant: Relevant ones of them, int64 [bits + 1].
      average_precision: Of every query, float64 [Q].
      answerable: Whether a query has a relevant item, bool [Q].
      metrics: As `retrieval.summarize` names them.
    """

    total: np.ndarray
    relevant: np.ndarray
    average_precision: np.ndarray
    answerable: np.ndarray
    metrics: dict


class Balance(NamedTuple):
    """Share of ones of every bit [bits], ones-to-zeros ratio of every bit [bits], distinct codes.

    The ratio is infinite for a bit that is always set.
    """

    share: np.ndarray
    ratio: np.ndarray
    distinct: int


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """A run with its rankings by kind of database codes, and the balance of every set of codes."""

    run: Run
    rankings: dict[str, Ranking]
    balances: dict[str, Balance]

    @property
    def stale(self) -> bool:
        """Whether `results.json` tells another MAP than the codes give: not of one evaluation."""
        return any(
            abs(self.run.results[kind]["map"] - ranking.metrics["map"]) > 1e-9
            for kind, ranking in self.rankings.items()
        )


def measure(run: Run) -> Measured:
    """Computes everything that the page shows of a run's codes.

    Raises:
      InputError: The labels of queries and database do not fit together; the run is named.
    """
    sets = {"queries": run.queries} | {
        f"database, {kind}": database for kind, database in run.databases.items()
    }
    try:
        rankings = {kind: _rank(run, database) for kind, database in run.databases.items()}
    except InputError as error:
        raise InputError(f"workdirs: the codes of {run.name} cannot be ranked: {error}") from error
    return Measured(
        run,
        rankings,
        {name: _balance(part, run.bits) for name, part in sets.items()},
    )


def _rank(run: Run, database: Content) -> Ranking:
    histograms = retrieval.distance_histograms(
        run.queries.codes, database.codes, run.queries.labels, database.labels, run.bits
    )
    total, relevant = map(np.asarray, histograms)  # JAX would add the pairs up in 32 bits.
    return Ranking(
        np.sum(total, axis=0, dtype=np.int64),
        np.sum(relevant, axis=0, dtype=np.int64),
        retrieval.average_precision(total, relevant),
        relevant.any(axis=1),
        retrieval.summarize(total, relevant, **run.results["config"]["metrics"]),
    )


def _balance(part: Content, bits: int) -> Balance:
    ones = np.mean(np.asarray(retrieval.unpack_codes(part.codes, bits)) > 0, axis=0)
    ratio = np.asarray(retrieval.bit_balance(part.codes, bits))
    return Balance(ones, ratio, len(np.unique(part.codes, axis=0)))
