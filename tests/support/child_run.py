"""What a process of `tests.support.child` runs."""

import importlib
import os
import sys

import jax

from jhash import parallel
from jhash import train as training
from jhash.commands import boundary, together
from tests.support import fork_server


def train(workdir, cache, output, fields, config, place):
    """Trains, as launch.py does, and ends the process with its exit status."""
    sys.stdout.flush()
    sys.stderr.flush()
    fork_server.begin([output, output], devices=1 if place else 2)
    jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    module, _, argument = config.partition(":")
    config = importlib.import_module(module).get_config(argument)
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in fields.items()}
    )

    def command():
        training.train(config, workdir)

    status = boundary.run((lambda: together.run(command, *place)) if place else command)
    sys.stdout.flush()
    if place:
        parallel.leave(status)
    os._exit(status)
