"""Results of several queries, and how those of several parts of a database become one."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np


class Results(NamedTuple):
    """Results of Q queries: those of query i lie at `[limits[i]:limits[i + 1]]`.

    They are in the order of (distance, position).
    """

    limits: np.ndarray  # int64 [Q + 1].
    distances: np.ndarray  # int32 [total].
    positions: np.ndarray  # int32 or int64 [total].


def none(queries: int) -> Results:
    """Makes results of queries that have none."""
    return Results(np.zeros(queries + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.int64))


def join(found: Iterable[tuple[np.ndarray, np.ndarray]]) -> Results:
    """Makes results of the (distances, positions) of each query."""
    # Concatenation needs an array at least.
    distances = [np.empty(0, np.int32)]
    positions = [np.empty(0, np.int32)]
    limits = [0]
    for near, places in found:
        distances.append(near)
        positions.append(places)
        limits.append(limits[-1] + len(near))
    return Results(np.array(limits), np.concatenate(distances), np.concatenate(positions))


def concatenate(parts: Sequence[Results]) -> Results:
    """Makes the results of all queries of those of one part of them after the other."""
    if len(parts) == 1:
        return parts[0]
    counts = np.concatenate([np.diff(part.limits) for part in parts])
    return Results(
        np.append(0, np.cumsum(counts)),
        np.concatenate([part.distances for part in parts]),
        np.concatenate([part.positions for part in parts]),
    )


def split(results: Results) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the (distances, positions) of each query."""
    for start, end in itertools.pairwise(results.limits.tolist()):
        yield results.distances[start:end], results.positions[start:end]


def merge(one: Results, other: Results, k: int | None) -> Results:
    """Merges the results of two parts of a database.

    Args:
      one: Results in one part: the first k per query.
      other: Those in another part, all positions of which are behind those of the first.
      k: Number of results per query; None for all.

    Returns:
      The first k of both per query.
    """
    merged = []
    for pair in zip(split(one), split(other), strict=True):
        distances, positions = (np.concatenate(arrays) for arrays in zip(*pair, strict=True))
        order = np.argsort(distances, kind="stable")[:k]
        merged.append((distances[order], positions[order]))
    return join(merged)


def take(results: Results, queries: np.ndarray) -> Results:
    """Returns the results of some queries, which may repeat, in the order given."""
    starts = results.limits[queries]
    counts = results.limits[queries + 1] - starts
    places = ranges(starts, counts)
    limits = np.append(0, np.cumsum(counts))
    return Results(limits, results.distances[places], results.positions[places])


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns `arange(start, start + count)` of all pairs one after the other, int64 [sum]."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - (ends - counts), counts)


def leave_out(results: Results, unwanted: np.ndarray) -> Results:
    """Returns the results without those that are marked, bool [total]."""
    before = np.append(0, np.cumsum(~unwanted))
    return Results(
        before[results.limits], results.distances[~unwanted], results.positions[~unwanted]
    )
