"""Whole files or none: written under a temporary name in the same folder, then renamed."""

import contextlib
import json
import os
import tempfile


@contextlib.contextmanager
def replacing(path, mode="w"):
    """Opens a file whose content takes the place of `path` when the block ends without error.

    Args:
      path: The file to make or to replace; its folder is made if need be.
      mode: `"w"` or `"wb"`.

    Yields:
      The open file.
    """
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, mode) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_json(path, value):
    """Writes indented JSON with NaN refused."""
    with replacing(path) as file:
        json.dump(value, file, indent=2, allow_nan=False)
        file.write("\n")
