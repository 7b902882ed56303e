"""Reading of files that somebody else may have written: no device, no FIFO, no endless nesting."""

import errno
import functools
import json
import os
import stat
from typing import Any, BinaryIO


def open_regular(path) -> BinaryIO:
    """Opens a regular file to read its bytes; does not wait for the writer of a FIFO.

    Raises:
      OSError: The file cannot be opened, or it is a folder, a device, a FIFO or the like, or one
        that the system makes up, such as those in /proc.
    """
    # Merely to open a device can change it. A NUL in a path is a ValueError to Python.
    try:
        _check_regular(os.stat(path), path)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), os.fspath(path)) from error
    # The file may have been replaced since then. A mode of Python's own would block at a FIFO,
    # before its kind can be seen.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _check_regular(os.fstat(handle), path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_json(path) -> Any:
    """Reads a file of JSON.

    Raises:
      OSError: As `open_regular` does.
      ValueError: As `parse_json` does.
    """
    with open_regular(path) as file:
        return parse_json(file.read())


def parse_json(data: bytes) -> Any:
    """Parses JSON in UTF-8, including Python's NaN and Infinity.

    Raises:
      ValueError: It is no JSON in UTF-8, or beyond what Python reads: nested too deeply, or with a
        number of thousands of digits. The message is one line.
    """
    try:
        return json.loads(data.decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _check_regular(status: os.stat_result, path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(status.st_mode) or status.st_dev in _made_up():
        raise OSError(errno.EINVAL, "Not a regular file", os.fspath(path))


@functools.cache
def _made_up() -> frozenset[int]:
    """Returns the numbers of the file systems whose files have no end or no fixed content."""
    places = [place for place in ("/proc", "/sys") if os.path.ismount(place)]
    return frozenset(os.stat(place).st_dev for place in places)
