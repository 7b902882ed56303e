"""What a process of `tests.support.child` runs."""

import os
import sys

import jax

from jhash import train as training
from jhash.commands import boundary
from jhash.runs import events  # noqa: F401 - takes seconds, which the server spends once
from tests.support import fork_server, tiny


def train(workdir, cache, output, fields):
    """Trains, as launch.py does, and ends the process with its exit status."""
    sys.stdout.flush()
    sys.stderr.flush()
    fork_server.begin([output, output], devices=2)
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    config = tiny.get_config()
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in fields.items()}
    )
    status = boundary.run(lambda: training.train(config, workdir))
    sys.stdout.flush()
    os._exit(status)
