"""Every test sees a CPU with eight simulated devices; set before JAX starts."""

import os
import signal
import tempfile

import pytest

os.environ["JAX_PLATFORMS"] = "cpu"
# Eight devices on few cores may wait for each other longer than the 40 s after which XLA aborts.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8"
    + " --xla_cpu_collective_call_terminate_timeout_seconds=250"
)
# Most of the time is compilation, and many tests run the same programs: one folder of compiled
# programs for all processes, which the first one makes and removes.
_COMPILED = None
if "PYTEST_XDIST_WORKER" not in os.environ:
    _COMPILED = tempfile.TemporaryDirectory(prefix="jhash-tests-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _COMPILED.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

# A shell without job control starts what is in the background with Ctrl-C ignored, which processes
# inherit. Tests send themselves and others this signal.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Of the files, those that take longest: first, so that no process ends with them alone.
_FIRST = ("test_resume.py", "test_extend.py", "test_benchmarks.py", "test_invertible_net.py")


def pytest_collection_modifyitems(items):
    """Sorts the long files to the front; all else stays as it was collected."""
    ranks = {name: rank for rank, name in enumerate(_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


def pytest_unconfigure():
    """Removes what was compiled."""
    if _COMPILED:
        _COMPILED.cleanup()


@pytest.fixture(scope="module")
def quick_compilation():
    """Nothing is optimised, for tests that train: each program runs for less time than that takes.

    Not where rounding is looked at: what is fused differs.
    """
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
