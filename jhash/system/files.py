"""Whole files or none: written under a temporary name in the same folder, then renamed."""

import contextlib
import errno
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator

from jhash.errors import InputError

_NEW_MODE = 0o644


@contextlib.contextmanager
def replacing(path, mode="w"):
    """Opens a file whose content takes the place of `path` when the block ends without error.

    Args:
      path: The file to make or to replace; its folder is made if need be. Where it is a link, the
        file that it leads to is replaced. A file that is replaced keeps its permissions.
      mode: `"w"` or `"wb"`.

    Yields:
      The open file.

    Raises:
      OSError: It cannot be written, or there is a folder, a device or the like at `path`.
    """
    target = _target(path)
    folder = os.path.dirname(target)
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(target))
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def check_output(path) -> None:
    """Finds out before the work whether `replacing` can write a file after it; changes nothing.

    Raises:
      InputError: It cannot; the message begins with the path.
    """
    try:
        folder = os.path.dirname(_target(path))
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        if not os.path.isdir(folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}.") from error


@contextlib.contextmanager
def lock(path, wait: bool) -> Iterator[None]:
    """Holds a file that is there for this alone; the system releases it even after a kill.

    Args:
      path: The file, which is made if need be, and stays.
      wait: Whether to wait for another holder.

    Raises:
      BlockingIOError: Another holds it, and `wait` is false.
    """
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def write_json(path, value):
    """Writes indented JSON with NaN refused."""
    with replacing(path) as file:
        json.dump(value, file, indent=2, allow_nan=False)
        file.write("\n")


def _target(path) -> str:
    target = os.path.realpath(path)
    # realpath drops a slash at the end.
    if os.path.isdir(target) or os.fspath(path).endswith(os.sep):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if os.path.lexists(target) and not os.path.isfile(target):
        raise OSError(errno.EINVAL, "Not a regular file", os.fspath(path))
    return target


def _mode(target: str) -> int:
    try:
        return stat.S_IMODE(os.stat(target).st_mode)
    except FileNotFoundError:
        return _NEW_MODE
