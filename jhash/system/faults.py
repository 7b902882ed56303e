"""Faults of the system that a user can mend, in one line: no space, no permission, no memory."""

import errno
import os
import re

from jhash.errors import printable

# The numbers of errors that only writing has.
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_MEMORY = re.compile(r"allocat\w* (?P<amount>[\d.,]+ ?(?:bytes|[KMGT]iB))")
# How an error of a library that is no OSError carries the system's number.
_NUMBER = re.compile(r"\[os_error_code='(\d+)'\]")


def explain(error: BaseException) -> str | None:
    """Explains an error that the system has caused.

    Args:
      error: The error.

    Returns:
      A sentence that begins with the file, or None if the system has not caused the error.
    """
    if is_memory(error):
        match = _MEMORY.search(str(error))
        amount = _grouped(match["amount"]) if match else "more"
        return f"memory: {amount} requested, which the system does not have; smaller batches help."
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        reason = error.strerror or str(error) or type(error).__name__
        # A write to an open file has no name; jhash's own files get one by `files.naming`.
        name = "standard output or error" if error.errno in _WRITING else "system"
        if isinstance(error.filename, str | bytes | os.PathLike):
            name = os.fsdecode(error.filename)
        kind = "cannot be written: " if error.errno in _WRITING else ""
        return printable(f"{name}: {kind}{reason}.")
    return None


def as_os_error(error: Exception, path: str) -> OSError | None:
    """Turns the error of a library that reads or writes files into an OSError.

    Args:
      error: An error.
      path: The file or folder that the user knows, in place of files of the library's own.

    Returns:
      The OSError, or None if the error has no number of the system.
    """
    match = _NUMBER.search(str(error))
    number = int(match[1]) if match else getattr(error, "errno", None)
    if number is None:
        return None
    return OSError(number, os.strerror(number), path)


def is_memory(error: BaseException) -> bool:
    """Returns whether the system had no memory left."""
    if isinstance(error, MemoryError):
        return True
    # The name of JAX's class, since JAX takes long to import.
    if type(error).__name__ not in ("JaxRuntimeError", "XlaRuntimeError"):
        return False
    return any(words in str(error) for words in ("RESOURCE_EXHAUSTED", "Out of memory"))


def _grouped(amount):
    number, space, unit = amount.partition(" ")
    return f"{int(number):,}{space}{unit}" if number.isdecimal() else amount
