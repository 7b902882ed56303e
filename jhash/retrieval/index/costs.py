"""Estimated times of the ways to search, in nanoseconds, by which an index chooses among them.

They were measured on two CPU cores. Only the choice depends on them, never a result.
"""

import sys

from jhash.retrieval.search import host

# Compilation of a search, for each combination of sizes.
COMPILATION = 1.5e9
# A search that sees few of the codes, for one query.
LOOK_UP = 8e4
# Words that lie in the processor's caches.
_CACHED = 1 << 22
# An accelerator takes about this long for whatever is worth asking it for.
_ACCELERATOR = 3e5


def host_scan(queries: int, rows: int, words: int, k: int = 1) -> float:
    """Estimates a scan on the host for a batch of queries."""
    k = min(k, rows)
    if not host.is_compiled():
        return queries * (2.5e4 + 0.35 * rows * words + 30 * k)
    # Codes come from memory once for all queries.
    work = queries * (5e3 + 0.055 * rows * words + 20 * k) / min(queries, host.cpus())
    return 2e4 + work + 0.1 * max(0, rows * words - _CACHED)


def device_scan(queries: int, rows: int, words: int, k: int) -> float:
    """Estimates a scan on the device for a batch of queries."""
    if has_accelerator():
        return _ACCELERATOR
    if queries <= 2:
        return queries * (1.2e5 + 0.2 * rows * words)
    # Small batches are padded.
    return 2e5 + max(queries, 16) * (8e3 + 0.04 * rows * words + 60 * min(k, rows))


def has_accelerator() -> bool:
    """Tells if JAX is there and its devices are no CPUs.

    Without JAX, which takes most of a second to import, there may be an accelerator that is not
    known yet; whatever pays on a CPU is searched there.
    """
    jax = sys.modules.get("jax")
    return jax is not None and jax.default_backend() != "cpu"


def best_scan(rows: int, words: int) -> float:
    """Estimates the faster scan for one query."""
    return min(host_scan(1, rows, words), device_scan(1, rows, words, 1))


def copy(rows: int, words: int) -> float:
    """Estimates how long it takes to copy some of the rows."""
    return 5.0 * rows * words


def narrow(rows: int) -> float:
    """Estimates how long it takes to leave removed rows out of the groups."""
    return 5.0 * rows


def expand(queries: int, k: int) -> float:
    """Estimates how long it takes to put positions in the place of distinct codes."""
    return 3e5 + 60.0 * queries * k


def grouping(rows: int, words: int) -> float:
    """Estimates how long it takes to group rows by their codes and to make tables."""
    return rows * (80.0 + 90.0 * words)
