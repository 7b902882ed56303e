"""Keeps freed memory in the process, so that the next training step need not request it again."""

import ctypes
import sys

# glibc's mallopt parameters (malloc.h).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_PAD_BYTES = 1 << 28
# The threshold that is never reached. The largest number, 2 GiB - 1, would be too low: the
# activations of a large batch need more.
_NEVER = -1


def keep_freed() -> None:
    """Tells glibc to return no freed memory to the system; does nothing where there is no glibc.

    On a CPU, XLA allocates the activations of a step anew each time, and glibc returns such large
    blocks to the system as soon as they are freed. Getting 160 MB again page by page took 75 of the
    260 ms of a step of ResNet30. Call this before JAX starts threads, since each thread would get a
    heap of its own.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for parameter, value in (
        (_MMAP_MAX, 0),
        (_TRIM_THRESHOLD, _NEVER),
        (_TOP_PAD, _PAD_BYTES),
        (_ARENA_MAX, 1),
    ):
        mallopt(parameter, value)
