"""Events for TensorBoard, written in the thread that makes them.

The writers of TensorBoard and tensorboardX write in a thread of their own. If the disk is full, it
ends with a traceback, and so does the process, or it waits forever.
"""

import contextlib
import os
import time
from collections.abc import Mapping

from tensorboardX import event_file_writer, summary
from tensorboardX.proto import event_pb2

from jhash.system import files


class Events:
    """A new file of events in a folder."""

    def __init__(self, folder: str, first_step: int):
        """Makes the file, and the folder if need be.

        Args:
          folder: The folder.
          first_step: TensorBoard hides what earlier files have from this step on.

        Raises:
          OSError: The file cannot be made; the same holds for every other function.
        """
        self._path = folder
        with files.naming(folder):
            os.makedirs(folder, exist_ok=True)
            # The name has seconds alone: a second file of that second would replace the first.
            self._writer = event_file_writer.EventsWriter(
                os.path.join(folder, "events"), f".{time.time_ns()}"
            )
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._add(step=first_step, file_version="brain.Event:2")
        self._add(step=first_step, session_log=start)
        self.flush()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes scalars by name."""
        for name, value in values.items():
            self._add(step=step, summary=summary.scalar(name, value))

    def flush(self) -> None:
        """Writes everything so far to disk."""
        with files.naming(self._path):
            self._writer.flush()

    def close(self) -> None:
        """Closes the file; what a full disk does not take is lost."""
        with contextlib.suppress(OSError):
            self._writer.close()

    def _add(self, **fields):
        with files.naming(self._path):
            self._writer.write_event(event_pb2.Event(wall_time=time.time(), **fields))
