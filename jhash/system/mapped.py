"""Arrays that lie in a file and are mapped into memory, and the memory that their pages take.

A page takes memory of the process from when it is read. The system can take it back where memory is
short, but counts it as resident until then. `drop` gives it back at once; the system's own copy of
the file stays, so that reading the page again costs little.
"""

import mmap
import sys
from typing import BinaryIO

import numpy as np

# Python names it from a later version on. Without it, the system refuses to map a file that is
# larger than its memory, because every page might be changed.
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
# Bytes of an array in which elements are taken between two drops. The system may map 2 MB for one.
_TAKEN = 1 << 26


def open_array(file: BinaryIO, offset: int, size: int) -> np.ndarray:
    """Maps bytes of a file; a change of the array does not reach the file.

    Args:
      file: The open file, which may be closed afterwards.
      offset: Where the bytes begin.
      size: Number of bytes, at least one.

    Returns:
      uint8 [size].
    """
    begin = offset // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    mapping = mmap.mmap(
        file.fileno(),
        offset - begin + size,
        flags=mmap.MAP_PRIVATE | _NO_RESERVE,
        prot=mmap.PROT_READ | mmap.PROT_WRITE,
        offset=begin,
    )
    return np.frombuffer(mapping, np.uint8, size, offset - begin)


def drop(array: np.ndarray) -> None:
    """Gives back the memory of an array's pages, which must be as the file has them.

    Args:
      array: An array that `open_array` made, or a part of one; nothing is done for others.
    """
    _advise(array, "MADV_DONTNEED")


def want(array: np.ndarray) -> None:
    """Begins to read an array's pages from the disk, without waiting; see `drop`."""
    _advise(array, "MADV_WILLNEED")


def take(array: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Returns elements of an array, with few of its pages in memory at a time.

    Args:
      array: [N]; see `drop`.
      positions: Integers [M].

    Returns:
      [M].
    """
    if _mapping(array) is None:
        return array[positions]
    taken = np.empty(len(positions), array.dtype)
    order = np.argsort(positions)
    ascending = positions[order]
    size = max(1, _TAKEN // array.itemsize)
    done = 0
    while done < len(order):
        first = int(ascending[done]) // size * size
        end = int(np.searchsorted(ascending, first + size))
        taken[order[done:end]] = array[ascending[done:end]]
        drop(array[first : first + size])
        done = end
    return taken


def _advise(array, name):
    mapping = _mapping(array)
    advice = getattr(mmap, name, None)
    if mapping is None or advice is None or not array.nbytes:
        return
    first = array.__array_interface__["data"][0]
    start = first - np.frombuffer(mapping, np.uint8).__array_interface__["data"][0]
    end = start + array.nbytes
    # Pages that other parts share are dropped, too; they are read again when they are used.
    start = start // mmap.PAGESIZE * mmap.PAGESIZE
    mapping.madvise(advice, start, end - start)


def _mapping(array):
    """Returns the mapping in which a contiguous array lies; None if it lies in none."""
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    base = base.obj if isinstance(base, memoryview) else base
    return base if isinstance(base, mmap.mmap) and array.flags.c_contiguous else None
