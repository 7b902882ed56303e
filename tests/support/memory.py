"""The memory that a piece of code takes, for tests."""

import contextlib
import tracemalloc
from collections.abc import Iterator


@contextlib.contextmanager
def at_most(size: int) -> Iterator[None]:
    """Asserts that the block never has more than `size` bytes that it allocated itself."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= size
