"""The process that trains a cell of a sweep; see `jhash.sweeps.training.in_processes`."""

import json
import os
import signal
import sys
import threading

from jhash.commands import boundary

# The words that start it. The code puts the folder of this very jhash first while it is imported.
COMMAND = (
    sys.executable,
    "-P",
    "-c",
    "import sys; sys.path.insert(0, sys.argv[1]); from jhash.commands import cell; "
    "del sys.path[0]; cell.main()",
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
)


def main() -> None:
    """Reads the order, trains, and ends the process; see `boundary.leave`."""
    boundary.leave(boundary.run(_run))


def _run():
    order = json.loads(_read_line())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # A user's own loss, method or source lies in the folder where the command is given.
    sys.path.append(os.getcwd())
    from absl import logging

    from jhash.sweeps import training
    from jhash.system import malloc

    malloc.keep_freed()
    logging.set_verbosity(logging.WARNING)  # orbax reports every step of every save.
    training.run(order["config"], order["workdir"])


def _read_line():
    # Without a buffer, which Python could not close at its end while the thread waits for more.
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(0, 1 << 16)
        if not read:
            raise SystemExit(1)
        line += read
    return line


def _end_with_parent():
    """Stops this process, which then saves its work, when the one that has started it is gone."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
