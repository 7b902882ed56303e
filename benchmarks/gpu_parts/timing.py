"""Times of calls that only begin work on a device."""

import statistics
import time

TURNS = 3


def seconds(contestants, turn=0.5):
    """Times sides in turns.

    Args:
      contestants: (call, wait) of each side: `call()` begins one piece of work, `wait()` returns
        when all that was begun is done. Each has been called before.
      turn: Seconds of a turn, about; a turn has at least one call.

    Returns:
      The median of `TURNS` turns of each side, in seconds per call.
    """
    counts = []
    for call, wait in contestants:
        counts.append(max(1, int(turn / burst(call, wait, 1))))
    times = [[] for _ in contestants]
    for _ in range(TURNS):
        for side, (call, wait) in enumerate(contestants):
            times[side].append(burst(call, wait, counts[side]))
    return [statistics.median(side) for side in times]


def burst(call, wait, count):
    """Returns the seconds of each of `count` calls, one begun after another."""
    began = time.perf_counter()
    for _ in range(count):
        call()
    wait()
    return (time.perf_counter() - began) / count
