"""Search of a database whose rows are shared by several processes, such as one per host.

Each process searches a contiguous range of the rows. The results of all are brought together by
(distance, position), so that every process has those of a search of the whole database. All
processes make the same searches in the same order; see `jhash.parallel`.
"""

import functools
from collections.abc import Callable

import numpy as np

from jhash import parallel
from jhash.retrieval.search import results
from jhash.retrieval.search.results import Results


def span(rows: int) -> tuple[int, int]:
    """Returns the first row of this process and the one behind its last."""
    count, number = parallel.process_count(), parallel.process_index()
    return rows * number // count, rows * (number + 1) // count


def search(
    queries: np.ndarray, k: int | None, radius: int, rows: int, find: Callable[[], Results]
) -> Results:
    """Searches in all processes.

    Args:
      queries: Packed queries, uint32 [Q, words].
      k: Number of results per query; None for all within the radius.
      radius: The largest distance of a result.
      rows: Number of rows of the database.
      find: Finds the results among the rows of this process, with positions in the whole database.

    Returns:
      The results of all processes.

    Raises:
      InputError: This process was given another search than the main one.
    """
    parallel.check_equal(
        "queries", repr((queries.shape, k, radius, rows)).encode() + bytes(queries)
    )
    parts = map(_decoded, parallel.bytes_from_all(_encoded(find())))
    return functools.reduce(functools.partial(results.merge, k=k), parts)


def _encoded(found):
    # The limits of each query come first, whose number all processes know.
    arrays = (found.limits, found.distances, found.positions)
    header = np.array([len(array) for array in arrays], "<i8")
    types = ("<i8", "<i4", "<i8")
    pieces = [np.asarray(a, kind).tobytes() for a, kind in zip(arrays, types, strict=True)]
    return b"".join([header.tobytes(), *pieces])


def _decoded(content):
    queries, total, _ = np.frombuffer(content, "<i8", 3).tolist()
    limits = np.frombuffer(content, "<i8", queries, 24)
    distances = np.frombuffer(content, "<i4", total, 24 + 8 * queries)
    positions = np.frombuffer(content, "<i8", total, 24 + 8 * queries + 4 * total)
    return Results(limits, distances, positions)
