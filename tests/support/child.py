"""Training in processes of their own, which may be killed.

They are forked from a server, which takes less time than new processes.
"""

import contextlib
import os
import time

from tests.support.fork_server import context


class Child:
    """A process that trains, on two devices, or on one together with other processes.

    Attributes:
      process: The process.
    """

    def __init__(self, workdir, cache, output, config="tests.support.tiny", place=None, **fields):
        """Starts the process.

        Args:
          workdir: Folder of the run.
          cache: Folder of compiled programs, of the test's own: a kill may leave a torn file.
          output: File to which the process writes what it prints.
          config: Module of the config, and an argument after a colon.
          place: Coordinator, number of processes and number of this one; see `parallel.join`.
          **fields: Fields of the config; a dot in a name is written `__`.
        """
        from tests.support import child_run

        self._output = output
        arguments = (str(workdir), str(cache), str(output), fields, config, place)
        self.process = context.Process(target=child_run.train, args=arguments)
        self.process.start()

    def wait_until(self, reached):
        """Waits until a function returns true; returns whether the process was alive then."""
        deadline = time.monotonic() + 120
        while not reached() and self.process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.001)
        return self.process.is_alive()

    def signal(self, number):
        """Sends a signal to the process, if it is alive."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def end(self):
        """Waits for the end of the process; returns (exit status, what it has printed)."""
        self.process.join(240)
        return self.process.exitcode, self._output.read_text()
