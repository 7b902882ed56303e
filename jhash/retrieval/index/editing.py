"""Editing an index file from several processes without losing a change."""

import contextlib
import os
from collections.abc import Iterator

from jhash.errors import InputError
from jhash.retrieval.index.hamming_index import HammingIndex
from jhash.system import files


@contextlib.contextmanager
def editing(path: str) -> Iterator[HammingIndex]:
    """Yields the index in a file, and saves it if the block ends without an error.

    Other processes that edit the same index wait until the block has ended.

    Args:
      path: The file of the index.

    Raises:
      InputError: There is no such file, or it is not a whole index of this version.
    """
    # Checked first: taking the lock makes its file, and the folder if it is missing.
    if not os.path.exists(path):
        raise InputError(f"index: {path} given; allowed: the file of an index.")
    with locked(path):
        index = HammingIndex.load(path)
        yield index
        index.save(path)


def locked(path: str) -> contextlib.AbstractContextManager[None]:
    """Returns a lock on an index file, to be held from before it is loaded until it is saved.

    The lock is on a second file in its folder, because every change makes the index a new file.
    """
    folder, name = os.path.split(os.path.realpath(path))
    return files.lock(os.path.join(folder, f".{name}.lock"), wait=True)
