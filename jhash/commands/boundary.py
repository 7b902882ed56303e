"""The boundary of a process: however a command ends, a status and at most one line come of it."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from jhash.errors import InputError, NonFiniteError, printable
from jhash.system import faults

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
READER_GONE = 128 + signal.SIGPIPE


def run(command: Callable[[], object]) -> int:
    """Runs a command.

    Args:
      command: Function that does the work. An exception that no user can cause passes through.

    Returns:
      The exit status: 0 when done; 1 after an error that the user can mend, printed in one line;
      130 after Ctrl-C; 141 if the reader of the output has closed it; 143 after SIGTERM.

    Raises:
      SystemExit: The command raised it, for example after wrong arguments.
    """
    _open_standard_streams()
    with (
        _handling(signal.SIGINT, signal.default_int_handler),
        _handling(signal.SIGTERM, _raise_terminated),
        _nothing_lost(),
    ):
        try:
            status = _status(command)
        except SystemExit:
            _flush()
            raise
        flushed = _flush()
        return status or flushed


def leave(status: int) -> NoReturn:
    """Ends the process with a status that `run` returned.

    Raises:
      SystemExit: No signal has ended the command.
    """
    if status in (INTERRUPTED, TERMINATED):
        # Threads of JAX may be at work still, and Python's own end then crashes now and then.
        os._exit(status)
    sys.exit(status)


def _status(command):
    try:
        command()
    except _Terminated:
        return TERMINATED
    except KeyboardInterrupt:
        return INTERRUPTED
    except (InputError, NonFiniteError) as error:
        return _failed(str(error))
    except BrokenPipeError:
        return READER_GONE
    except Exception as error:
        line = faults.explain(error)
        if line is None:
            raise
        return _failed(line)
    return 0


class _Terminated(BaseException):
    """SIGTERM has come; files and locks are tidied up on the way out."""


def _raise_terminated(number, frame):
    raise _Terminated


@contextlib.contextmanager
def _handling(number, handler):
    """Gives a signal a handler in the main thread, unless the program handles or ignores it.

    Python handles Ctrl-C itself, but the module that starts the process has changed that for the
    time in which modules are imported, and in which Python ends.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(number) != signal.SIG_DFL:
        yield
        return
    signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def _nothing_lost():
    """Ends the process at once if a signal comes where Python drops exceptions.

    JAX has such a place, which every garbage collection enters.
    """
    before = sys.unraisablehook

    def hook(unraisable):
        if issubclass(unraisable.exc_type, _Terminated):
            os._exit(TERMINATED)
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            os._exit(INTERRUPTED)
        before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _open_standard_streams():
    """Opens those that are closed: else a data file would get their number, and what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # Gets the lowest free number, which is this one.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - open until the process ends
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - open until the process ends


def _failed(line):
    with contextlib.suppress(OSError):
        print(f"jhash: {printable(line)}", file=sys.stderr, flush=True)
    return 1


def _flush():
    """Writes what the streams still hold; returns the exit status for what that shows."""
    status = 0
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = READER_GONE
    except OSError as error:
        status = _failed(faults.explain(error))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _discard(stream)
    return status


def _discard(stream):
    """Sends what a stream still holds nowhere: Python flushes it once more, which must not fail."""
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
