"""Events for TensorBoard, written in the thread that makes them.

TensorBoard's own writer of files has a thread. If the disk is full, it ends with a traceback, and
so does the process, or it waits forever.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

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
            # TensorBoard reads the files in the order of their names.
            now = time.time_ns()
            name = f"events.out.tfevents.{now // 10**9}.{socket.gethostname()}.{now}"
            self._file = open(os.path.join(folder, name), "xb")  # noqa: SIM115 - closed by close()
            self._writer = RecordWriter(self._file)
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._add(step=first_step, file_version="brain.Event:2")
        self._add(step=first_step, session_log=start)
        self.flush()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes scalars by name."""
        for name, value in values.items():
            scalar = summary_pb2.Summary.Value(tag=name, simple_value=value)
            self._add(step=step, summary=summary_pb2.Summary(value=[scalar]))

    def flush(self) -> None:
        """Writes everything so far to disk."""
        with files.naming(self._path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file; what a full disk does not take is lost."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _add(self, **fields):
        with files.naming(self._path):
            event = event_pb2.Event(wall_time=time.time(), **fields)
            self._writer.write(event.SerializeToString())
