"""Search of codes that stay in their file: piece by piece, in bounded memory, on many processes.

A piece is searched, and its pages are given back to the system. The results so far bound the
distances that later pieces need to be searched for. What is in memory does not depend on the number
of codes.

Where processes search together, each takes a range of the rows, and all get all results.
"""

import functools
from collections.abc import Callable, Iterator

import numpy as np

from jhash.retrieval.index import costs
from jhash.retrieval.index.ways import Task, Way
from jhash.retrieval.search import host, results
from jhash.retrieval.search.results import Results
from jhash.system import mapped

# Bytes of the codes of a piece.
_PIECE = 1 << 26

# Called with codes of a piece, queries, k, radius and whether each row may be found, or None.
_Search = Callable[[np.ndarray, np.ndarray, int | None, int, np.ndarray | None], Results]


def ways(task: Task, together: bool) -> list[Way]:
    """Lists the ways of a search, the fastest one first.

    Args:
      task: The search.
      together: Whether all processes search, each its range of the rows; see `hosts`.

    Returns:
      Ways that take no argument.
    """
    found = [_on_host(task, together)]
    # On a CPU, laying out each piece takes longer than scanning it.
    everything = task.only is None and task.state.live is None
    if task.k is not None and everything and costs.has_accelerator():
        found.append(_on_devices(task, together))
    return sorted(found, key=lambda way: way.nanoseconds)


def _on_host(task, together):
    def search(codes, queries, k, radius, visible):
        return host.find(queries, codes, k, radius, visible)

    nanoseconds = costs.host_scan(*task.sizes())
    return Way("stream", nanoseconds, None, False, False, _searcher(task, together, search))


def _on_devices(task, together):
    """Brings each piece to the devices of this process, which share it."""
    queries, rows, words, k = task.sizes()
    nanoseconds = costs.device_scan(queries, rows, words, k) + costs.copy(rows, words)
    room = min(rows, _rows_of_piece(words))
    compiled = "stream on devices", min(queries, 128).bit_length(), room, k

    def search(codes, queries, k, radius, visible):
        from jhash.retrieval.search import sharded

        split = sharded.prepare(codes, room=room)
        distances, positions = map(np.asarray, sharded.search(split, queries, min(k, len(codes))))
        limits = np.arange(len(queries) + 1) * distances.shape[1]
        found = Results(limits, distances.reshape(-1), positions.reshape(-1).astype(np.int64))
        return results.leave_out(found, found.distances > radius)

    return Way(
        "stream on devices", nanoseconds, compiled, False, False, _searcher(task, together, search)
    )


def _searcher(task, together, search: _Search):
    return functools.partial(_together if together else _alone, task, search)


def _alone(task, search):
    return _over_pieces(task, search, 0, task.state.used)


def _together(task, search):
    from jhash.retrieval.search import hosts

    def find():
        return _over_pieces(task, search, *hosts.span(task.state.used))

    return hosts.search(task.queries, task.k, task.radius, task.state.used, find)


def _over_pieces(task, search, first, end):
    """Searches the rows of a range."""
    codes = task.state.codes
    found = results.none(len(task.queries))
    radius = task.radius
    for start, stop in _pieces(first, end, codes.shape[1]):
        mapped.want(codes[stop : min(end, 2 * stop - start)])
        rows = codes[start:stop]
        visible = _visible(task, start, stop)
        if visible is None or visible.any():
            near = search(rows, task.queries, task.k, radius, visible)
            near = near._replace(positions=near.positions + start)
            found = results.merge(found, near, task.k)
        mapped.drop(rows)
        radius = _needed_radius(task, found)
        if radius < 0:
            break
    return found


def _pieces(first: int, end: int, words: int) -> Iterator[tuple[int, int]]:
    """Yields the first row of each piece and the one behind its last."""
    size = _rows_of_piece(words)
    return ((start, min(end, start + size)) for start in range(first, end, size))


def _rows_of_piece(words):
    return max(1, _PIECE // (4 * words))


def _visible(task, start, stop):
    """Returns whether each row of a piece may be found, bool; None if all may be."""
    if task.only is None:
        return None if task.state.live is None else task.state.live[start:stop]
    visible = np.zeros(stop - start, bool)
    low, high = np.searchsorted(task.only, (start, stop))
    visible[task.only[low:high] - start] = True
    return visible


def _needed_radius(task, found):
    """Returns the largest distance that a later row needs to be among the results of any query."""
    if task.k is None or (np.diff(found.limits) < task.k).any():
        return task.radius
    # A later row at the distance of the last result comes behind it.
    return min(task.radius, int(found.distances[found.limits[1:] - 1].max()) - 1)
