"""What a process of `tests.support.script` runs."""

import os
import runpy
import sys
import threading

import jax
import tqdm
from absl import app  # noqa: F401 - this and what follows take seconds, which the server spends once
from ml_collections import config_flags  # noqa: F401

from jhash import evaluate, report, train  # noqa: F401
from jhash.runs import events  # noqa: F401


def run(path, arguments, folder, streams):
    """Runs a script as `python PATH ARGUMENTS` does in a folder; the process ends with it.

    Args:
      path: The script.
      arguments: Its arguments, texts.
      folder: The current folder.
      streams: Files to which stdout and stderr are written.
    """
    for number, stream in zip((1, 2), streams, strict=True):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.chdir(folder)
    os.environ["XLA_FLAGS"] = ""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_disable_most_optimizations", True)
    tqdm.tqdm.set_lock(threading.RLock())  # Not one of the server's.
    sys.argv = [str(path), *arguments]
    runpy.run_path(str(path), run_name="__main__")
