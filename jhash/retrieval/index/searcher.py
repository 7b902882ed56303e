"""Choice among the ways to search an index, and what they need, made when it pays.

Some ways need the rows grouped by their codes. They are grouped once the scans that this would have
saved have taken a good part of the time of grouping. Rows that are added later are scanned, and
removed ones are left out of the results. Once that has taken as long, the rows are grouped again.
"""

import functools
import operator
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from jhash.retrieval.index import costs, distinct, streamed, sublinear, ways
from jhash.retrieval.index.rows import Rows, State
from jhash.retrieval.index.ways import Grouped, Task, Way
from jhash.retrieval.search import results
from jhash.retrieval.search.results import Results

if TYPE_CHECKING:
    from jhash.retrieval.index.device import Device
    from jhash.retrieval.search.layout import Prepared

# Rows are grouped once scans have taken this share of the time of grouping.
_PATIENCE = 0.25
# Fewer rows are not grouped.
_MIN_ROWS = 1 << 12
# Where grouping brought nothing, it is tried again when there are so many times as many rows.
_GROWTH = 1.25
# Batches are searched among distinct codes if they are at most this share of the rows.
_FEW_DISTINCT = 0.5
# A search that sees few of the codes gives up at this share of the time of a scan.
_GIVE_UP = 0.25
# Where more than this share of late searches gave up, rows are scanned. What is known is worth less
# with each search, so that such a search is tried again now and then.
_MAX_GIVEN_UP = 0.7
_MEMORY = 0.99
_WEIGHT = 1 / 8


class Searcher:
    """Searches the rows of an index, for any number of threads."""

    def __init__(
        self,
        rows: Rows,
        lock: threading.Lock,
        bits: int,
        stream: bool = False,
        together: bool = False,
    ):
        """Starts with nothing made.

        Args:
          rows: The rows, which others change.
          lock: The lock that is held by those who read or change the rows.
          bits: Code length.
          stream: Whether searches keep nothing in memory; see `streamed`.
          together: Whether all processes search, each its range of the rows. It needs `stream`.
        """
        self._stream = stream
        self._together = together
        self._rows = rows
        self._lock = lock
        self._bits = bits
        self._device: Device | None = None
        self._grouping = threading.Lock()
        self._grouped: Grouped | None = None
        self._prepared: tuple[Grouped, Prepared] | None = None
        # By whether k is given: the time of scans that grouping would have saved, and the layout
        # and number of rows for which it brought nothing.
        self._scanned = {True: 0.0, False: 0.0}
        self._in_vain = {True: (-1, 0), False: (-1, 0)}
        # Likewise: the share of late searches that saw few of the codes and gave up.
        self._given_up = {True: 0.0, False: 0.0}
        # By the sizes of a search: the time that its compilation would have saved.
        self._saved: dict[tuple, float] = {}

    def find(self, make_task: Callable[[State], Task]) -> tuple[Task, Results]:
        """Searches the present rows.

        Args:
          make_task: Makes the search of a state; the lock is held meanwhile. It may raise.

        Returns:
          The search that was made, and its results.
        """
        return self._plan(make_task, may_group=True)()

    def group(self, *demands: tuple[int | None, int]) -> None:
        """Groups the present rows by their codes, unless that is done or brings nothing.

        If another thread is at it, this one does not wait. Searches go on meanwhile.

        Args:
          *demands: Searches to come: the number of results per query, or None for all within the
            radius; and the largest distance of a result.
        """
        if self._stream or not self._grouping.acquire(blocking=False):
            return
        try:
            with self._lock:
                state = self._rows.state()
            if not state.count:
                return
            grouped = self._grouped
            if grouped is None or not grouped.is_of(state):
                grouped = _group(state, self._bits)
                self._given_up = {True: 0.0, False: 0.0}
            for k, radius in demands:
                if _are_few(grouped) or sublinear.serves(grouped.structure, k, radius):
                    self._grouped = grouped
                else:
                    self._in_vain[k is not None] = state.layout, state.used
        except MemoryError:  # Searches do without.
            for k, _ in demands:
                self._in_vain[k is not None] = state.layout, state.used
        finally:
            for k, _ in demands:
                self._scanned[k is not None] = 0.0
            self._grouping.release()

    def _plan(
        self, make_task: Callable[[State], Task], may_group: bool
    ) -> Callable[[], tuple[Task, Results]]:
        """Makes a search of the present rows, to be called without the lock; see `find`."""
        with self._lock:
            task = make_task(self._rows.state())
            if not len(task.queries) or not task.matches():
                return lambda: (task, results.none(len(task.queries)))
            unlike, same = task.unlike()
            found = self._ways(unlike)
            if may_group and self._is_due(unlike, found[0]):
                return lambda: self._group_and_find(make_task, task)
            search = self._begin(unlike, found)
        if same is None:
            return lambda: (task, search())
        return lambda: (task, results.take(search(), same))

    def _group_and_find(self, make_task, task) -> tuple[Task, Results]:
        self.group((task.k, task.radius))
        return self._plan(make_task, may_group=False)()

    def _ways(self, task: Task) -> list[Way]:
        """Lists all ways of a search, the fastest one first; the caller holds the lock."""
        if self._stream:
            return streamed.ways(task, self._together)
        found = [ways.scan(task)]
        if task.only is None:
            found.append(ways.scan_on_device(task))
        else:
            found.append(ways.scan_subset(task, task.only))
        grouped = self._grouped
        if grouped is not None and grouped.fits(task.state):
            tries = self._given_up[task.k is not None] <= _MAX_GIVEN_UP
            if tries and ways.can_look_up(task, grouped):
                report = functools.partial(self._note, task)
                found.append(ways.look_up(task, grouped, report))
            if task.only is None and _are_few(grouped):
                found.append(ways.search_groups(task, grouped))
                lay_out = functools.partial(self._lay_out, grouped)
                found.append(ways.search_groups_on_device(task, grouped, lay_out))
        found.sort(key=operator.attrgetter("nanoseconds"))
        return found

    def _note(self, task: Task, share: float) -> None:
        """Takes down which share of the queries of a search gave up."""
        before = self._given_up[task.k is not None]
        self._given_up[task.k is not None] = before + _WEIGHT * (share - before)

    def _is_due(self, task: Task, way: Way) -> bool:
        """Tells if the rows should be grouped before a search that would go a given way."""
        _, rows, words, _ = task.sizes()
        if not way.scanned or rows < _MIN_ROWS:
            return False
        layout_in_vain, rows_in_vain = self._in_vain[task.k is not None]
        if task.state.layout == layout_in_vain and rows < _GROWTH * rows_in_vain:
            return False
        scanned = self._scanned[task.k is not None] + way.nanoseconds
        return scanned >= _PATIENCE * costs.grouping(rows, words)

    def _begin(self, task: Task, found: list[Way]) -> Callable[[], Results]:
        """Chooses a way, and brings to the device what it needs there."""
        way = self._choose(found)
        self._given_up[task.k is not None] *= _MEMORY
        if way.scanned:
            self._scanned[task.k is not None] += way.nanoseconds
        if not way.on_device:
            return way.search
        if self._device is None:
            from jhash.retrieval.index.device import Device

            self._device = Device()
        return functools.partial(way.search, self._device.lay_out(self._rows))

    def _choose(self, found: list[Way]) -> Way:
        """Chooses the fastest way; one that is compiled, once that would have paid."""
        best = found[0]
        if best.compiled is None:
            return best
        other = next(way for way in found if way.compiled is None)
        saved = self._saved.get(best.compiled, 0.0) + other.nanoseconds - best.nanoseconds
        self._saved[best.compiled] = saved
        return best if saved >= costs.COMPILATION else other

    def _lay_out(self, grouped: Grouped) -> "Prepared":
        """Returns the distinct codes laid out on the device."""
        from jhash.retrieval.search import layout

        if self._prepared is None or self._prepared[0] is not grouped:
            codes = grouped.structure.distinct.codes
            self._prepared = grouped, layout.prepare(codes, lanes=False)
        return self._prepared[1]


def _group(state: State, bits: int) -> Grouped:
    live = None if state.live is None else state.live[: state.used]
    codes = distinct.group(state.codes[: state.used], bits, live)
    scan = costs.best_scan(state.used, state.codes.shape[1])
    structure = sublinear.build(codes, bits, _GIVE_UP * scan)
    return Grouped(structure, state.used, state.layout, state.version)


def _are_few(grouped: Grouped) -> bool:
    """Tells if there are few distinct codes."""
    codes = grouped.structure.distinct
    return len(codes.codes) <= _FEW_DISTINCT * len(codes.positions)
