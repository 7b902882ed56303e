"""What a process of `tests.support.script` runs."""

import os
import runpy
import sys

from absl import app  # noqa: F401 - this and what follows take seconds, which the server spends once
from ml_collections import config_flags  # noqa: F401

from jhash import evaluate, report, train  # noqa: F401
from tests.support import fork_server


def run(path, arguments, folder, streams):
    """Runs a script as `python PATH ARGUMENTS` does in a folder; the process ends with it.

    Args:
      path: The script.
      arguments: Its arguments, texts.
      folder: The current folder.
      streams: Files to which stdout and stderr are written.
    """
    for stream in streams:  # Of an earlier script.
        stream.unlink(missing_ok=True)
    fork_server.begin(streams, devices=1)
    os.chdir(folder)
    sys.argv = [str(path), *arguments]
    runpy.run_path(str(path), run_name="__main__")
