"""The numbers of the page, computed from a run's codes."""

import dataclasses
from typing import NamedTuple

import numpy as np

from jhash import retrieval
from jhash.errors import InputError
from jhash.runs.code_files import Content
from jhash.runs.finished import Run


class Ranking(NamedTuple):
    """The ranking of one kind of database codes by all queries.

    Attributes:
      total: Number of pairs at each distance, int64 [bits + 1].
      metrics: Metrics, named as by `retrieval.summarize` and `summarize_within_categories`; without
        labels, those that `results.json` has.
      relevant: Number of relevant pairs at each distance, int64 [bits + 1]; None without labels.
      average_precision: Average precision of each query, float64 [Q]; None without labels.
      answerable: True for each query that has a relevant item, bool [Q]; None without labels.
    """

    total: np.ndarray
    metrics: dict
    relevant: np.ndarray | None = None
    average_precision: np.ndarray | None = None
    answerable: np.ndarray | None = None


class Balance(NamedTuple):
    """The balance of the bits of a set of codes.

    Attributes:
      share: Share of ones in each bit, float [bits].
      ratio: Ratio of ones to zeros in each bit, float [bits]; infinite for a bit that is always 1.
      distinct: Number of distinct codes.
    """

    share: np.ndarray
    ratio: np.ndarray
    distinct: int


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """A run with all numbers that the page shows of its codes.

    Attributes:
      run: The run.
      rankings: Rankings by the kind of database codes, `learned` or `encoded`.
      balances: Balances by the name of the set of codes: `queries`, or `database, KIND`.
    """

    run: Run
    rankings: dict[str, Ranking]
    balances: dict[str, Balance]

    @property
    def stale(self) -> bool:
        """Tells whether `results.json` has another MAP than the codes, from another evaluation."""
        if not has_labels(self.run):
            return False
        return any(
            abs(self.run.results[kind].get("map", np.inf) - ranking.metrics["map"]) > 1e-9
            for kind, ranking in self.rankings.items()
        )


def has_labels(run: Run) -> bool:
    """Tells whether both the queries and the database of a run have labels."""
    return run.results["data"].get("labeled", True) and all(
        content.labels is not None and content.labels.size
        for content in (run.queries, *run.databases.values())
    )


def measure(run: Run) -> Measured:
    """Computes everything that the page shows of a run's codes.

    Raises:
      InputError: The labels of queries and database do not fit together; the run is named.
    """
    code_sets = {"queries": run.queries} | {
        f"database, {kind}": database for kind, database in run.databases.items()
    }
    try:
        rankings = {kind: _rank(run, kind) for kind in run.databases}
    except InputError as error:
        raise InputError(
            f"workdirs: {run.name} given, whose codes cannot be ranked: {error}"
        ) from error
    balances = {name: _balance(codes, run.bits) for name, codes in code_sets.items()}
    return Measured(run, rankings, balances)


def _rank(run: Run, kind: str) -> Ranking:
    database = run.databases[kind]
    if not has_labels(run):
        # Any labels give the number of all pairs.
        alike = [np.zeros(len(content.codes), np.int32) for content in (run.queries, database)]
        total_QxD, _ = retrieval.distance_histograms(
            run.queries.codes, database.codes, *alike, run.bits
        )
        return Ranking(np.sum(np.asarray(total_QxD), axis=0, dtype=np.int64), run.results[kind])
    searched = run.queries.codes, database.codes, run.queries.labels, database.labels, run.bits
    options = run.results["config"]["metrics"]
    histograms = retrieval.distance_histograms(*searched)
    # In NumPy, as JAX would sum the pairs in 32 bits.
    total_QxD, relevant_QxD = map(np.asarray, histograms)
    return Ranking(
        np.sum(total_QxD, axis=0, dtype=np.int64),
        retrieval.summarize(total_QxD, relevant_QxD, **options, q_labels=run.queries.labels)
        | retrieval.summarize_within_categories(*searched, **options),
        np.sum(relevant_QxD, axis=0, dtype=np.int64),
        retrieval.average_precision(total_QxD, relevant_QxD),
        relevant_QxD.any(axis=1),
    )


def _balance(content: Content, bits: int) -> Balance:
    share = np.mean(np.asarray(retrieval.unpack_codes(content.codes, bits)) > 0, axis=0)
    ratio = np.asarray(retrieval.bit_balance(content.codes, bits))
    return Balance(share, ratio, len(np.unique(content.codes, axis=0)))
