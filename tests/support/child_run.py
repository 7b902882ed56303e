"""What a process of `tests.support.child` runs."""

import os
import sys
import threading

import jax
import tqdm

from jhash import train as training
from jhash.commands import boundary
from jhash.runs import events  # noqa: F401 - takes seconds, which the server spends once
from tests.support import tiny


def train(workdir, cache, output, fields):
    """Trains, as launch.py does, and ends the process with its exit status."""
    for stream, number in (sys.stdout, 1), (sys.stderr, 2):
        stream.flush()
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    tqdm.tqdm.set_lock(threading.RLock())  # Not one of the server, which a kill would leave behind.
    config = tiny.get_config()
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in fields.items()}
    )
    status = boundary.run(lambda: training.train(config, workdir))
    sys.stdout.flush()
    os._exit(status)
