"""Signals that come while a function is called."""

import contextlib
import signal


@contextlib.contextmanager
def coming(monkeypatch, module, name, at=lambda *arguments: True, number=signal.SIGINT):
    """Sends a signal to this process in the first call of a function for which `at` is true.

    Args:
      monkeypatch: That of pytest.
      module: Holder of the function.
      name: Name of the function.
      at: Function of the arguments.
      number: Number of the signal.

    Yields:
      A list, which is not empty once the signal was sent.
    """
    function, sent = getattr(module, name), []

    def wrapped(*arguments, **more):
        if not sent and at(*arguments):
            sent.append(True)
            signal.raise_signal(number)
        return function(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, wrapped)
        yield sent
