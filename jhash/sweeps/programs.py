"""The compiled programs of a sweep, which its runs share."""

import contextlib
import os
import tempfile
from collections.abc import Iterator

# Variables of the environment; in lower case they are names in `jax.config`.
_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_LEAST_SECONDS = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"


@contextlib.contextmanager
def shared(here: bool) -> Iterator[None]:
    """Gives the processes that are started in the block one folder of compiled programs.

    Short runs spend most of their time on compilation, and those that differ in their seed have the
    same programs. The folder is new and belongs to this user alone, since whoever can write to it
    can change what runs. If the environment names a folder for JAX, that one is used and stays.

    Args:
      here: Whether runs are trained in this process, which then uses the folder, too.
    """
    if _FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="jhash-programs-") as folder:
        # By default, JAX does not keep what compiles in less than a second.
        values = {_FOLDER: folder, _LEAST_SECONDS: 0}
        added = {name: value for name, value in values.items() if name not in os.environ}
        # First, since JAX reads the variables when it is imported.
        with _configured(added) if here else contextlib.nullcontext():
            try:
                os.environ.update({name: str(value) for name, value in added.items()})
                yield
            finally:
                for name in added:
                    os.environ.pop(name, None)


@contextlib.contextmanager
def _configured(values):
    """Does what the variables do for JAX in this process, which may have read them before."""
    import jax  # It takes a second, for which a finished sweep should not wait.
    from jax.experimental.compilation_cache import compilation_cache

    def use(values):
        for name, value in values.items():
            jax.config.update(name.lower(), value)
        compilation_cache.reset_cache()

    before = {name: getattr(jax.config, name.lower()) for name in values}
    try:
        use(values)
        yield
    finally:
        use(before)
