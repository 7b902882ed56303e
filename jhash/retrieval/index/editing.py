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
      InputError: There is no such file, it is not a whole index of this version, or another program
        has removed or replaced it before the block ended, so that nothing was saved.
    """
    # Checked first: taking the lock makes its file, and the folder if it is missing.
    if not os.path.exists(path):
        raise InputError(f"index: {path} given; allowed: the file of an index.")
    with locked(path) as handle:
        index = HammingIndex.load(path)
        yield index
        if handle is None or not files.is_at(handle, path):
            raise InputError(
                f"index: {path} given, which another program removed or replaced meanwhile; "
                "allowed: a file that only jhash changes. Nothing was saved."
            )
        index.save(path)


@contextlib.contextmanager
def locked(path: str) -> Iterator[int | None]:
    """Locks an index file, to be held from before it is loaded until it is saved.

    There are two locks. Every change makes the index a new file, so the first lock is on a second
    file in its folder. The index itself is locked, too: then even those who have removed the second
    file wait for each other, and those who know the same index by two hard links.

    Args:
      path: The file of the index, which need not exist.

    Yields:
      The descriptor of the index file; None if there is none.
    """
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    with (
        files.lock(os.path.join(folder, f".{name}.lock"), wait=True),
        contextlib.ExitStack() as stack,
    ):
        handle = None
        with contextlib.suppress(FileNotFoundError):
            handle = stack.enter_context(files.lock(target, wait=True, make=False))
        yield handle
