"""Signals that ask a process to stop, held back until its work is saved.

Ctrl-C sends SIGINT; `kill`, and cluster managers before they take a machine away, send SIGTERM.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from jhash.errors import printable

_AGAIN_SECONDS = 0.05
_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Interrupted(BaseException):
    """Ends the block of `held` after a signal, where its work is saved or need not be.

    It is no Exception, so that nothing between takes it for an error of its own.
    """


class _Block:
    """A block of `held`: the signal that has come, and whether one ends the block at once."""

    def __init__(self):
        self.received = None
        self.at_once = False
        self.hook_before = sys.unraisablehook

    def handle(self, number, frame):
        """Handles a signal; the second Ctrl-C stops at once."""
        if self.received is not None:
            # SIGTERM often comes twice: to the process and to its group.
            if number == signal.SIGINT:
                signal.default_int_handler(number, frame)
            return
        self.received = number
        if self.at_once:
            self.at_once = False  # What now cleans up is not interrupted again.
            raise Interrupted

    def deliver_again(self, unraisable):
        """Handles an exception that Python has dropped, as `sys.unraisablehook` does.

        JAX drops those that are raised while garbage is collected, so the signal is sent again.
        """
        if not issubclass(unraisable.exc_type, Interrupted):
            self.hook_before(unraisable)
            return
        number, self.received, self.at_once = self.received, None, True
        threading.Timer(_AGAIN_SECONDS, signal.raise_signal, [number]).start()


# The innermost block; only the main thread has any, since only it gets signals.
_block: _Block | None = None


@contextlib.contextmanager
def held(kept: Callable[[], str]) -> Iterator[None]:
    """Holds back SIGINT and SIGTERM while the block runs, and delivers them after it.

    The block calls `stop_if_requested` where its work is saved, and runs in `at_once` what may end
    at any place. When a signal has ended the block, a line on stderr says what is kept. Then the
    signal gets the handler that it had before the block: Ctrl-C raises KeyboardInterrupt, SIGTERM
    ends the process, unless the program has handlers of its own. A second Ctrl-C raises
    KeyboardInterrupt at once, wherever the block is.

    In other threads than the main one this does nothing.

    Args:
      kept: Function that returns sentences about what is kept and how to go on.

    Raises:
      KeyboardInterrupt: A signal ended the block.
    """
    global _block
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    block, outer = _Block(), _block
    before = {}
    for number in _NAMES:
        handler = signal.getsignal(number)
        # An ignored signal stays ignored, as under nohup; None is a handler that is not Python's.
        if handler not in (signal.SIG_IGN, None):
            before[number] = handler
            signal.signal(number, block.handle)
    _block = block
    sys.unraisablehook = block.deliver_again
    stopped = False
    try:
        yield
        stopped = block.received is not None  # After the last place where the block could stop.
    except Interrupted:
        stopped = True
        by = "a signal to another process"
        if block.received is None:
            block.received = signal.SIGTERM
        else:
            by = _NAMES[block.received]
        _say(f"jhash: stopped by {by}. {kept()}")
    except KeyboardInterrupt:
        _say(f"jhash: stopped at once. {kept()}")
        raise
    finally:
        _block = outer
        sys.unraisablehook = block.hook_before
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped:
        signal.raise_signal(block.received)
        raise KeyboardInterrupt  # The program's own handler has only taken note.


def requested() -> bool:
    """Returns whether a signal asks this thread to stop."""
    return (
        _block is not None
        and _block.received is not None
        and threading.current_thread() is threading.main_thread()
    )


def stop_if_requested() -> None:
    """Ends the block of `held` if a signal has come.

    Raises:
      Interrupted: A signal has come.
    """
    if requested():
        raise Interrupted


def at_once() -> contextlib.AbstractContextManager[None]:
    """Lets a signal end the block of `held` anywhere in this block.

    Raises:
      Interrupted: A signal comes, or has come.
    """
    return _set_at_once(True)


def not_at_once() -> contextlib.AbstractContextManager[None]:
    """Suspends an `at_once` around this block.

    Raises:
      Interrupted: A signal has come meanwhile, and there is an `at_once` around this block.
    """
    return _set_at_once(False)


@contextlib.contextmanager
def _set_at_once(value):
    if _block is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    block, before = _block, _block.at_once
    try:
        block.at_once = value
        if value:
            stop_if_requested()
        yield
    finally:
        block.at_once = False
    # A signal may have come where Python drops exceptions, such as in a destructor.
    if value or before:
        stop_if_requested()
    block.at_once = before


def _say(line):
    # The terminal may be gone.
    with contextlib.suppress(OSError, ValueError):
        print(printable(line), file=sys.stderr, flush=True)
