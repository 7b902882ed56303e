"""A target: valid files, the function that reads them, and what its answer has to be."""

import dataclasses
import math
import pathlib
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

# The files of one seed or mutant by name; names may have slashes.
Files = dict[str, bytes]
# Changes the bytes of a file: (random numbers, name of the file, bytes) -> bytes.
Mutator = Callable[[random.Random, str, bytes], bytes]

MIB = 1 << 20


def equal(value: Any, expected: Any) -> bool:
    """Compares values whose leaves may be arrays, however deep; NaN is equal to NaN."""
    pairs = [(value, expected)]
    while pairs:
        value, expected = pairs.pop()
        if type(value) is not type(expected):
            return False
        if isinstance(expected, Mapping):
            if list(value) != list(expected):
                return False
            pairs += [(value[key], expected[key]) for key in expected]
        elif isinstance(expected, list | tuple):
            if len(value) != len(expected):
                return False
            pairs += zip(value, expected, strict=True)
        elif not _equal_leaves(value, expected):
            return False
    return True


def _equal_leaves(value, expected):
    if isinstance(expected, np.ndarray):
        number = expected.dtype.kind in "fc"
        return value.dtype == expected.dtype and np.array_equal(value, expected, equal_nan=number)
    if isinstance(expected, float) and math.isnan(expected):
        return math.isnan(value)
    return value == expected


@dataclasses.dataclass(frozen=True)
class Target:
    """A reader under attack; the docstring of the package says how to add one.

    Attributes:
      name: Name on the command line.
      seeds: Makes the valid files, the same ones every time: a list of seeds, each the files of one
        folder. Every seed has to be accepted.
      read: Reads a folder with these files, by a public function of jhash, and does everything
        with the content that a user would, so that nothing bad is left for later. Returns what it
        has read.
      oracle: What an independent reader finds in a folder: the expected value of a mutant that is
        accepted. It raises an exception where the file should have been refused. None if an
        accepted mutant has to have the content of its seed, as with a checksum over everything.
      same: Compares a value that was read with the expected one.
      mutators: Changes that know the format, such as a count that is huge and a checksum that is
        right nevertheless. They and `rewrites` make half of the mutants.
      rewrites: Such changes of all files together.
      repair: Makes the checksums of a file right again; applied to half of the other mutants. None
        if the format has none.
      mutable: Whether a file may be changed.
      whole_files: Whether files are also removed, emptied, swapped and replaced by folders.
      quick: Number of mutants that the test tries.
      multiple: Bytes that `read` may allocate per byte of the files.
      constant: Bytes that it may allocate besides.
      seconds: Time that it may take.
    """

    name: str
    seeds: Callable[[], Sequence[Files]]
    read: Callable[[pathlib.Path], Any]
    oracle: Callable[[pathlib.Path], Any] | None = None
    same: Callable[[Any, Any], bool] = equal
    mutators: Sequence[Mutator] = ()
    rewrites: Sequence[Callable[[random.Random, Files], Files]] = ()
    repair: Callable[[str, bytes], bytes] | None = None
    mutable: Callable[[str], bool] = lambda name: True
    whole_files: bool = False
    quick: int = 300
    multiple: int = 8
    constant: int = 16 * MIB
    seconds: float = 10


def written(write: Callable[[pathlib.Path], Any]) -> Files:
    """Returns the files that a function writes into the folder that it is given."""
    with tempfile.TemporaryDirectory(prefix="jhash-fuzz-") as folder:
        write(pathlib.Path(folder))
        return files_of(pathlib.Path(folder))


def files_of(folder: pathlib.Path) -> Files:
    """Returns all files in a folder and the folders below it."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
