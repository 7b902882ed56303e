"""Errors of the system in one line."""

import errno
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.system import faults


def failing(function):
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("nothing failed")


@pytest.mark.parametrize(
    ("number", "name", "expected"),
    [
        (errno.ENOSPC, "a/file", "a/file: cannot be written: No space left on device."),
        (errno.EDQUOT, b"a\xff\n", r"a\udcff\n: cannot be written: Disk quota exceeded."),
        (errno.EMFILE, "a/file", "a/file: Too many open files."),
        (errno.EACCES, "a/file", "a/file: Permission denied."),
        (errno.ENOSPC, None, "standard output or error: cannot be written: No space left on dev"),
        (errno.EIO, None, "system: Input/output error."),
    ],
)
def test_errors_of_files(number, name, expected):
    line = faults.explain(OSError(number, os.strerror(number), name))
    assert line.startswith(expected)


def test_what_is_not_explained():
    """Defects, and a reader that goes away, which is no error."""
    for error in (ValueError("x"), KeyError(1), BrokenPipeError(errno.EPIPE, "Broken pipe")):
        assert faults.explain(error) is None
    assert faults.as_os_error(ValueError("RESOURCE_EXHAUSTED"), "x") is None


@pytest.mark.parametrize("kind", ["jax", "jitted", "numpy", "python"])
def test_memory(kind):
    """Errors that really occur: of 16 TiB that no machine has."""
    functions = {
        "jax": lambda: jnp.zeros((1 << 42,), np.uint32).block_until_ready(),
        "jitted": lambda: jax.jit(lambda x: jnp.sort(jnp.outer(x, x)).sum())(
            jnp.ones(1 << 21)
        ).item(),
        "numpy": lambda: np.ones((1 << 42,), np.uint32),
        "python": lambda: bytearray(1 << 62),
    }
    error = failing(functions[kind])
    amounts = {"numpy": "16.0 TiB", "python": "more"}
    line = faults.explain(error)
    assert line.startswith(f"memory: {amounts.get(kind, '17,592,186,044,416 bytes')} requested, ")
    assert len(line.splitlines()) == 1
