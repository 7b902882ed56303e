"""The ways to search the rows of an index: an estimate of the time of each, and its results.

All give the same results. `searcher` chooses among them. What needs JAX is imported where a search
goes to the device.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jhash.retrieval.index import batches, costs, distinct, sublinear
from jhash.retrieval.index.rows import State
from jhash.retrieval.index.sublinear import Sublinear
from jhash.retrieval.limits import WORD_BITS
from jhash.retrieval.search import host, results
from jhash.retrieval.search.results import Results

if TYPE_CHECKING:
    from jhash.retrieval.search.layout import Prepared

# Among so many queries, equal ones are looked for, and searched once if so few are left.
_MANY = 16
_UNLIKE = 0.75
# Number of queries whose distinct codes are found at a time.
_PART = 4096


class Task(NamedTuple):
    """A search of one state of the rows."""

    state: State
    queries: np.ndarray  # Packed queries, uint32 [Q, words].
    k: int | None  # Number of results, up to that of the rows to find; None for all within.
    radius: int  # The largest distance of a result: the code length if k is given.
    only: np.ndarray | None  # Positions of the rows to find, ascending, all live; None for all.

    def visible(self) -> np.ndarray | None:
        """Returns whether each row may be found, bool [capacity]; None for all."""
        if self.only is None:
            return self.state.live
        visible = np.zeros(len(self.state.codes), bool)
        visible[self.only] = True
        return visible

    def matches(self) -> int:
        """Returns the number of rows to find."""
        return self.state.count if self.only is None else len(self.only)

    def sizes(self) -> tuple[int, int, int, int]:
        """Returns the numbers of queries, of rows, of words of a code, of results per query."""
        queries, words = self.queries.shape
        return queries, self.state.used, words, 1 if self.k is None else self.k

    def unlike(self) -> tuple["Task", np.ndarray | None]:
        """Returns the search of each query that is given more than once, and which is which.

        Returns:
          The search, and for each query the place of its equal among those of the search. The
          search itself and None if few are equal.
        """
        count = len(self.queries)
        if count < _MANY:
            return self, None
        unlike = distinct.group(self.queries, 32 * self.queries.shape[1], None)
        if len(unlike.codes) > _UNLIKE * count:
            return self, None
        same = np.empty(count, np.int64)
        same[unlike.positions] = np.repeat(np.arange(len(unlike.codes)), np.diff(unlike.starts))
        return self._replace(queries=unlike.codes), same


class Grouped(NamedTuple):
    """The rows of one state, grouped by their codes."""

    structure: Sublinear
    used: int  # Number of rows of the state; those behind came later.
    layout: int
    version: int

    def fits(self, state: State) -> bool:
        """Tells if a search of a state may begin with these rows."""
        return self.layout == state.layout and self.version <= state.version

    def is_of(self, state: State) -> bool:
        """Tells if these are the rows of a state."""
        return self.layout == state.layout and self.version == state.version


class Way(NamedTuple):
    """A way to search."""

    name: str
    nanoseconds: float  # Estimate of the time.
    compiled: tuple | None  # The sizes for which it is compiled; None if it is not.
    scanned: bool  # Whether grouping the rows anew would save this time.
    on_device: bool  # Whether the search takes an argument: all rows laid out on the device.
    search: Callable[..., Results]


def scan(task: Task) -> Way:
    """Scans all rows by NumPy."""
    nanoseconds = costs.host_scan(*task.sizes())
    return Way("scan", nanoseconds, None, True, False, functools.partial(_scan, task, 0))


def can_look_up(task: Task, grouped: Grouped) -> bool:
    """Tells if few searches by `look_up` will give up."""
    if task.k is None:
        return sublinear.serves(grouped.structure, None, task.radius)
    # Of so many nearest rows, about k may be found.
    needed = task.k * task.state.used // task.matches()
    return sublinear.serves(grouped.structure, needed, task.radius)


def look_up(task: Task, grouped: Grouped, report: Callable[[float], None]) -> Way:
    """Sees few of the codes, and scans the rows that came after the grouped ones.

    Args:
      task: The search.
      grouped: The grouped rows.
      report: Is told the share of the queries that had to be scanned for after all.
    """
    queries, rows, words, _ = task.sizes()
    behind = rows - grouped.used
    nanoseconds = queries * costs.LOOK_UP
    if behind:
        nanoseconds += costs.host_scan(queries, behind, words)
    search = functools.partial(_look_up, task, grouped, report)
    return Way("look-up", nanoseconds, None, behind > 0, False, search)


def scan_subset(task: Task, only: np.ndarray) -> Way:
    """Copies the rows to find, and scans these; `only` is that of the task."""
    queries, _, words, k = task.sizes()
    rows = len(only)
    by_host = costs.host_scan(queries, rows, words, k)
    by_device = costs.COMPILATION + costs.device_scan(queries, rows, words, k)
    nanoseconds = costs.copy(rows, words) + min(by_host, by_device)
    search = functools.partial(_scan_subset, task, only, by_device < by_host)
    return Way("subset", nanoseconds, None, False, False, search)


def scan_on_device(task: Task) -> Way:
    """Scans all rows on the device."""
    queries, rows, _, _ = task.sizes()
    nanoseconds = costs.device_scan(*task.sizes())
    compiled = ("device", *_rounded(queries, rows), task.k)
    return Way("device", nanoseconds, compiled, True, True, functools.partial(_on_device, task))


def search_groups(task: Task, grouped: Grouped) -> Way:
    """Scans the distinct codes on the host."""
    codes = grouped.structure.distinct.codes

    def search(queries: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
        found = host.find(queries, codes, wanted, WORD_BITS * codes.shape[1])
        shape = len(queries), wanted
        return found.distances.reshape(shape), found.positions.reshape(shape)

    queries, _, words, _ = task.sizes()
    nanoseconds = costs.host_scan(queries, len(codes), words, batches.FIRST)
    return _by_groups("groups", nanoseconds, None, task, grouped, lambda: (search, len(codes)))


def search_groups_on_device(task: Task, grouped: Grouped, lay_out: Callable[[], "Prepared"]) -> Way:
    """Scans the distinct codes on the device; `lay_out` lays them out there."""

    def start() -> tuple[batches.Search, int]:
        from jhash.retrieval.search import hamming

        prepared = lay_out()

        def search(queries: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
            distances, numbers = hamming.search(prepared, queries, wanted)
            return np.asarray(distances), np.asarray(numbers)

        return search, len(prepared.rows)

    queries, _, words, _ = task.sizes()
    codes = len(grouped.structure.distinct.codes)
    nanoseconds = costs.device_scan(queries, codes, words, batches.FIRST)
    compiled = ("groups on device", *_rounded(queries, codes))
    return _by_groups("groups on device", nanoseconds, compiled, task, grouped, start)


def _by_groups(name, nanoseconds, compiled, task, grouped, start) -> Way:
    """Makes a way of a scan of the distinct codes; `start` gives the arguments of a batch."""
    queries, rows, words, k = task.sizes()
    behind = rows - grouped.used
    nanoseconds += costs.expand(queries, k)
    if behind:
        nanoseconds += costs.host_scan(queries, behind, words)
    if task.state.live is not None:
        nanoseconds += costs.narrow(rows)
    search = functools.partial(_search_groups, task, grouped, start)
    return Way(name, nanoseconds, compiled, behind > 0, False, search)


def _rounded(queries, rows):
    return min(queries, 128).bit_length(), rows.bit_length()


def _scan(task, first):
    """Scans the rows from one position on."""
    rows = slice(first, task.state.used)
    visible = task.visible()
    if visible is not None:
        visible = visible[rows]
    found = host.find(task.queries, task.state.codes[rows], task.k, task.radius, visible)
    return found._replace(positions=found.positions + first) if first else found


def _look_up(task, grouped, report):
    visible = task.visible()
    found: list[Any] = [
        sublinear.find(grouped.structure, query, task.k, task.radius, visible)
        for query in task.queries
    ]
    given_up = [place for place, pair in enumerate(found) if pair is None]
    report(len(given_up) / len(found))
    if given_up:
        rows = task.state.codes[: grouped.used]
        live = None if visible is None else visible[: grouped.used]
        scanned = host.find(task.queries[given_up], rows, task.k, task.radius, live)
        for place, pair in zip(given_up, results.split(scanned), strict=True):
            found[place] = pair
    return _with_later_rows(results.join(found), task, grouped)


def _with_later_rows(found, task, grouped):
    """Adds the results among the rows that came after the grouped ones."""
    if grouped.used == task.state.used:
        return found
    return results.merge(found, _scan(task, grouped.used), task.k)


def _scan_subset(task, only, on_device):
    codes = task.state.codes[only]
    if on_device:
        from jhash.retrieval.search import layout

        found = _on_device(task, layout.prepare(codes))
    else:
        found = host.find(task.queries, codes, task.k, task.radius)
    return found._replace(positions=only[found.positions])


def _on_device(task, prepared):
    from jhash.retrieval.index import device

    if task.k is None:
        return device.within(prepared, task.queries, task.radius)
    return device.nearest(prepared, task.queries, task.k)


def _search_groups(task, grouped, start):
    codes = grouped.structure.distinct
    if task.state.live is not None:
        codes = distinct.narrow(codes, task.state.live)
    search, max_codes = start()
    # In parts, as a part of the queries has room for all codes that one of them needs.
    parts = [
        batches.find(codes, queries, task.k, task.radius, search, max_codes)
        for queries in np.split(task.queries, range(_PART, len(task.queries), _PART))
    ]
    return _with_later_rows(results.concatenate(parts), task, grouped)
