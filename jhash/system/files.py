"""Files that are written whole or not at all: under a temporary name first, then renamed."""

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
    """Opens a file that replaces `path` when the block ends without an error.

    Args:
      path: The file to make or to replace. Its folder is made if need be. If it is a link, the file
        to which it leads is replaced. A replaced file keeps its permissions.
      mode: `"w"` or `"wb"`.

    Yields:
      The open file.

    Raises:
      OSError: The file cannot be written, or `path` is a folder, a device or the like.
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
    """Checks that `replacing` will be able to write a file, before the work that makes its content.

    The check changes nothing on disk.

    Raises:
      InputError: The file cannot be written; the message begins with the path.
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
    """Locks a file for the time of the block; the system releases the lock even after a kill.

    Args:
      path: A file that serves only as the lock. It is made if need be, and stays.
      wait: Whether to wait while another process holds the lock.

    Raises:
      BlockingIOError: Another process holds the lock, and `wait` is false.
    """
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def write_json(path, value):
    """Writes indented JSON; raises ValueError for NaN and infinity."""
    with replacing(path) as file:
        json.dump(value, file, indent=2, allow_nan=False)
        file.write("\n")


def _target(path) -> str:
    """Returns the file to which a path leads; raises OSError if that cannot be a regular file."""
    target = os.path.realpath(path)
    # A slash at the end means a folder, but realpath drops it.
    if os.path.isdir(target) or os.fspath(path).endswith(os.sep):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if os.path.lexists(target) and not os.path.isfile(target):
        raise OSError(errno.EINVAL, "Not a regular file", os.fspath(path))
    return target


def _mode(target: str) -> int:
    """Returns the permissions that a file has, or those of a new one."""
    try:
        return stat.S_IMODE(os.stat(target).st_mode)
    except FileNotFoundError:
        return _NEW_MODE
