"""Files that are written whole or not at all: under a temporary name first, then renamed."""

import contextlib
import errno
import fcntl
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator

from jhash.errors import InputError

_NEW_MODE = 0o644
# The names of the temporary files of `replacing`, which no other program gives.
_PREFIX, _SUFFIX = ".jhash-", ".tmp"
_TEMPORARY = re.compile(rf"{re.escape(_PREFIX)}[a-z0-9_]{{8}}{re.escape(_SUFFIX)}")


@contextlib.contextmanager
def replacing(path, mode="w"):
    """Opens a file that replaces `path` when the block ends without an error.

    A writer that is killed leaves its temporary file, which the next writer in the folder removes.

    Args:
      path: The file to make or to replace. Its folder is made if need be. If it is a link, the file
        to which it leads is replaced. A replaced file keeps its permissions.
      mode: `"w"` or `"wb"`.

    Yields:
      The open file.

    Raises:
      OSError: The file cannot be written, or `path` is a folder, a device or the like. The error's
        `filename` is `path`.
    """
    with naming(path):
        target = _target(path)
        folder = os.path.dirname(target)
        _make_folder(folder)
        handle, temporary = _make_temporary(folder)
    try:
        with naming(path), os.fdopen(handle, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            # The lock on the temporary file is held until that has its final name.
            os.chmod(temporary, _mode(target))
            os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def naming(path) -> Iterator[None]:
    """Makes OSErrors of the block name a file, if they name none or only a temporary one.

    Args:
      path: The file that the block writes, as the user calls it.

    Raises:
      OSError: The block raised it.
    """
    try:
        yield
    except OSError as error:
        name = error.filename
        # A write that fails has no name, and some functions give the number of an open file.
        unnamed = name is None or isinstance(name, int)
        if unnamed or _is_of(os.fsdecode(name), path):
            error.filename = os.fspath(path)
            del error.filename2
        raise


def check_output(path) -> None:
    """Checks that `replacing` will be able to write a file, before the work that makes its content.

    The check changes nothing on disk.

    Raises:
      InputError: The file cannot be written; the message begins with the path.
    """
    try:
        target = _target(path)
        with contextlib.suppress(FileNotFoundError):
            os.lstat(target)  # Its name may be too long.
        check_folder(os.path.dirname(target))
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}.") from error


def check_folder(folder) -> None:
    """Checks that files can be made in a folder, which is made with them if need be.

    The check changes nothing on disk.

    Raises:
      OSError: They cannot.
    """
    folder = os.path.realpath(folder)
    with contextlib.suppress(FileNotFoundError):
        os.lstat(folder)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        number = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(number, os.strerror(number), folder)
    # Only an attempt shows that there is no space, or that it is no folder for files, as in /proc.
    # The file has no name where the file system can do that, and is removed at once elsewhere.
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(b"\0")


@contextlib.contextmanager
def lock(path, wait: bool, make: bool = True) -> Iterator[int]:
    """Locks a file for the time of the block; the system releases the lock even after a kill.

    What the file holds is neither read nor changed. If the file is removed or replaced while this
    process waits for the lock, the file that then has the path is locked.

    Args:
      path: The file, which must not be a link. It stays.
      wait: Whether to wait while another process holds the lock.
      make: Whether to make the file, and its folder, if it is missing.

    Yields:
      The descriptor of the locked file.

    Raises:
      BlockingIOError: Another process holds the lock, and `wait` is false.
      OSError: The file cannot be opened.
    """
    if make:
        _make_folder(os.path.dirname(os.path.abspath(path)))
    while True:
        handle = _open_for_lock(path, make)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if is_at(handle, path):
                yield handle
                return
        finally:
            os.close(handle)


def is_at(handle: int, path) -> bool:
    """Returns whether an open file still has its path: it was neither removed nor replaced."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except OSError:
        return False


def write_json(path, value):
    """Writes indented JSON; raises ValueError for NaN and infinity."""
    with replacing(path) as file:
        json.dump(value, file, indent=2, allow_nan=False)
        file.write("\n")


def _make_folder(folder):
    try:
        os.makedirs(folder, exist_ok=True)
    except FileExistsError as error:  # A file, or a device, is where the folder should be.
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder) from error


def _is_of(name, path):
    """Returns whether a name is the place to which a path leads, or that of a temporary file."""
    return name == os.path.realpath(path) or _TEMPORARY.fullmatch(os.path.basename(name))


def _make_temporary(folder):
    """Makes and locks a temporary file, and removes those that killed writers have left.

    Returns:
      (handle, path).
    """
    while True:
        handle, path = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX, dir=folder)
        with contextlib.suppress(OSError):  # Not every file system has locks.
            fcntl.flock(handle, fcntl.LOCK_EX)
        # Before it was locked, another writer may have taken it for one that a kill has left.
        if os.path.lexists(path):
            break
        os.close(handle)
    # A file system on which one's own lock does not show has no locks: nothing is removed there.
    if not _remove_unless_held(path, dry=True):
        _remove_temporary_files(folder)
    return handle, path


def _remove_temporary_files(folder):
    """Removes the temporary files in a folder that no process holds and that it may remove."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name):
                _remove_unless_held(entry.path)


def _remove_unless_held(path, dry=False):
    """Removes a file unless its lock is held; returns whether it was removed.

    With `dry` the file stays, and the function returns whether it would have been removed.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its writer may have given it its final name before it could be locked here.
        if not is_at(handle, path) or not stat.S_ISREG(os.fstat(handle).st_mode):
            return False
        if not dry:
            os.unlink(path)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def _open_for_lock(path, make):
    # A file of that name may be another user's, or made to do harm: a link is not followed, and a
    # pipe is not waited for.
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_RDWR | (os.O_CREAT if make else 0), _NEW_MODE)
    except (PermissionError, IsADirectoryError):
        # Reading is enough, except on network file systems.
        return os.open(path, flags | os.O_RDONLY)


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
