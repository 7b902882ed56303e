"""The compiled programs of a sweep, which its runs share."""

import contextlib
import os
import tempfile
from collections.abc import Iterator

_FOLDER = "JAX_COMPILATION_CACHE_DIR"
# By default, JAX does not keep what compiles in less than a second.
_ALL = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """Gives this process, and those that it starts in the block, one folder of compiled programs.

    Short runs spend most of their time on compilation, and those that differ in their seed have the
    same programs. The folder is new and belongs to this user alone, since whoever can write to it
    can change what runs. If the environment names a folder for JAX, that one is used and stays.
    """
    if _FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="jhash-programs-") as folder:
        added = {name: value for name, value in _ALL.items() if name not in os.environ}
        added[_FOLDER] = folder
        os.environ.update(added)
        try:
            with _in_this_process(folder):
                yield
        finally:
            for name in added:
                os.environ.pop(name, None)


@contextlib.contextmanager
def _in_this_process(folder):
    """Does the same for JAX in this process, which may have read the environment before."""
    import jax  # It takes a second, for which a finished sweep should not wait.
    from jax.experimental.compilation_cache import compilation_cache

    changed = {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0,
    }
    before = {name: getattr(jax.config, name) for name in changed}

    def use(values):
        for name, value in values.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()

    try:
        use(changed)
        yield
    finally:
        use(before)
