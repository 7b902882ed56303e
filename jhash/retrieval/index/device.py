"""Search of batches on the device: the rows laid out there, kept up to date, and their results."""

from collections.abc import Iterator

import numpy as np

from jhash.retrieval.index.rows import Rows
from jhash.retrieval.search import hamming, layout
from jhash.retrieval.search.results import Results

# Rows that changed are replaced on the device as long as there is room, which is made for 1 / _ROOM
# more rows. Free rows are scanned by every search; on the other hand, the search is compiled again
# per size.
_ROOM = 4
# Bounds of a batch: queries that are searched at a time, and results in the device's memory.
_BATCH_QUERIES = 4096
_BATCH_RESULTS = 1 << 22


class Device:
    """The rows of an index on the device. The owner lets one thread at a time call it."""

    def __init__(self) -> None:
        """Starts with nothing on the device."""
        self._prepared: layout.Prepared | None = None

    def lay_out(self, rows: Rows) -> layout.Prepared:
        """Brings the rows, of which at least one is live, and their changes to the device.

        Returns:
          The rows, for `nearest` and `within`. It does not change any more.
        """
        changed = rows.changes()
        prepared = self._prepared
        if changed is None or prepared is None or rows.used > len(prepared.rows):
            # Room for more rows, once there were more.
            size = rows.used + (0 if prepared is None else rows.used // _ROOM)
            # Freed first, because the device may not have room for two layouts.
            self._prepared = prepared = None
            # Copies, because JAX may go on using the memory that it is given.
            codes = np.zeros((size, rows.codes.shape[1]), np.uint32)
            codes[: rows.used] = rows.codes[: rows.used]
            live = np.zeros(size, bool)
            live[: rows.used] = rows.live[: rows.used]
            prepared = layout.prepare(codes, None if live.all() else live)
        elif len(changed):
            prepared = layout.replace(prepared, changed, rows.codes[changed], rows.live[changed])
        self._prepared = prepared
        rows.forget_changes()
        return prepared


def nearest(prepared: layout.Prepared, queries: np.ndarray, k: int) -> Results:
    """Finds the k nearest rows of each query; k is at most the number of live rows."""
    distances = np.empty((len(queries), k), np.int32)
    positions = np.empty((len(queries), k), np.int32)
    for rows in batches(len(queries), k):
        distances[rows], positions[rows] = hamming.search(prepared, queries[rows], k)
    limits = np.arange(len(queries) + 1) * k
    return Results(limits, distances.reshape(-1), positions.reshape(-1))


def within(prepared: layout.Prepared, queries: np.ndarray, radius: int) -> Results:
    """Finds all live rows within a radius of each query."""
    counts = np.zeros(len(queries), np.int64)
    for rows in batches(len(queries), 1):
        counts[rows] = hamming.count_within(prepared, queries[rows], radius)
    limits = np.zeros(len(queries) + 1, np.int64)
    np.cumsum(counts, out=limits[1:])
    distances = np.empty(limits[-1], np.int32)
    positions = np.empty(limits[-1], np.int32)
    # Queries with the most hits come first, so that those of a batch have similar numbers. k is
    # rounded up to few values, because the search is compiled per value. It may exceed the number
    # of live rows: the hits are the first of the results.
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    while len(order):
        k = min(_power_of_four(counts[order[0]]), len(prepared.rows))
        batch, order = np.split(order, [_batch_size(k)])
        found = map(np.asarray, hamming.search(prepared, queries[batch], k))
        for query, near, places in zip(batch, *found, strict=True):
            hits = slice(limits[query], limits[query + 1])
            distances[hits] = near[: counts[query]]
            positions[hits] = places[: counts[query]]
    return Results(limits, distances, positions)


def batches(queries: int, k: int) -> Iterator[slice]:
    """Yields the queries of each batch, as slices, if each query has k results."""
    size = _batch_size(k)
    return (slice(start, start + size) for start in range(0, queries, size))


def _batch_size(k: int) -> int:
    """Chooses how many queries are searched at a time for k results each."""
    return max(1, min(_BATCH_QUERIES, _BATCH_RESULTS // k))


def _power_of_four(n: int) -> int:
    """Rounds up to 16, 64, 256, ..."""
    return 1 << max(4, (int(n) - 1).bit_length() + 1 & ~1)
