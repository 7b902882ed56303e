"""One index in memory that threads search while others change it; each result is of one state.

Batches of equal codes are added in order, and removed in the same order. So in every state the
batches that are there are consecutive, and each is there with all of its codes. One search for all
batches has to find it so.
"""

import itertools
import random
import threading
import time
from typing import NamedTuple

import frame
import numpy as np

from jhash.retrieval.index.hamming_index import HammingIndex

BITS = 64
# Codes in a batch, and batches in the index at a time.
_BATCH = 10
_WINDOW = 20


class Plan(NamedTuple):
    """What happens to an index: threads that search, and batches that are added and removed."""

    searchers: int
    batches: int


def run(plan: Plan, rng: random.Random) -> frame.Outcome:
    """Searches an index in many threads while two others change it."""
    generator = np.random.default_rng(rng.getrandbits(32))
    codes = generator.integers(0, 2**32, (plan.batches, BITS // 32), np.uint32)
    # The same changes before, with a search after one or more of them: the search is compiled for
    # each size of the buffers and number of changes, which would take the time of the threads.
    index = _build(codes)
    for batch in range(_WINDOW, plan.batches):
        _add(index, codes, batch)
        _remove(index, batch - _WINDOW)
        if rng.random() < 0.3:
            problem_of(index, codes, batch % 2 == 0)
    index = _build(codes)
    # The two that change it take turns, so that the sizes of the buffers are those of before.
    room = threading.Semaphore(1)
    there = threading.Semaphore(0)
    done = threading.Event()
    problems: list[str] = []
    searches = [0] * plan.searchers

    def add():
        for batch in range(_WINDOW, plan.batches):
            room.acquire()
            _add(index, codes, batch)
            there.release()

    def remove():
        for batch in range(plan.batches - _WINDOW):
            there.acquire()
            time.sleep(rng.uniform(0, 0.004))
            _remove(index, batch)
            room.release()
        done.set()

    def search(number):
        while not done.is_set() and not problems:
            problem = problem_of(index, codes, by_radius=(searches[number] + number) % 2 == 0)
            searches[number] += 1
            if problem:
                problems.append(problem)

    def guarded(function, *arguments):
        try:
            function(*arguments)
        except Exception as error:
            problems.append(f"{type(error).__name__}: {error}")
            done.set()

    threads = [
        threading.Thread(target=guarded, args=(work,), daemon=True) for work in (add, remove)
    ]
    threads += [
        threading.Thread(target=guarded, args=(search, number), daemon=True)
        for number in range(plan.searchers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads[1:]:
        thread.join(300)
    hanging = sum(thread.is_alive() for thread in threads[1:])
    counts = {"changes": 2 * (plan.batches - _WINDOW), "searches": sum(searches)}
    if problems or hanging:
        name = "a mixed result" if problems else "threads hang"
        return frame.Outcome(name, False, counts, {"problems": problems[:5]})
    last = problem_of(
        index, codes, by_radius=True, expected=range(plan.batches - _WINDOW, plan.batches)
    )
    return frame.Outcome(last or "one state", not last, counts)


def _build(codes):
    return HammingIndex.build(np.repeat(codes[:_WINDOW], _BATCH, axis=0), BITS)


def _add(index, codes, batch):
    index.add(np.repeat(codes[batch : batch + 1], _BATCH, axis=0), _ids(batch))


def _remove(index, batch):
    index.remove(_ids(batch))


def _ids(batch):
    return np.arange(batch * _BATCH, (batch + 1) * _BATCH)


def problem_of(index, codes, by_radius, expected=None):
    """Searches for all batches at once; returns what is wrong with the result, None if nothing."""
    if by_radius:
        limits, _, ids = index.search_radius(codes, 0)
        found = [ids[start:end] for start, end in itertools.pairwise(limits)]
    else:
        distances, ids = index.search(codes, _BATCH)
        found = [row[near == 0] for row, near in zip(ids, distances, strict=True)]
    whole = []
    for batch, hits in enumerate(found):
        if len(hits) and not np.array_equal(hits, _ids(batch)):
            return f"batch {batch}: {hits.tolist()}"
        if len(hits):
            whole.append(batch)
    if whole != list(range(whole[0], whole[-1] + 1)) or expected not in (
        None,
        range(whole[0], whole[-1] + 1),
    ):
        return f"batches {whole}"
    return None
