"""The images of a data set that can be used: those that cannot be read take no part in a run.

Sources of image files have a function `unreadable`, from indices to the reason why each image
cannot be read, or None. Images in memory need no look. A source whose images may change between two
processes has a `digest` of their names and labels, and may have `notes` for its user.
"""

import dataclasses
import itertools
import sys
from typing import NamedTuple

import numpy as np
import tqdm

from jhash.data.sources import RelabeledSource, Source
from jhash.data.splits import Data
from jhash.errors import InputError, printable

_BLOCK = 1024  # number of images after which the bar moves
_PRINTED = 50  # number of unreadable images that are printed
_SETS = ("train", "database", "queries", "validation")


class Examined(NamedTuple):
    """A look at all images of a data set.

    Attributes:
      count: Number of images of the source.
      digest: The source's digest of names and labels; empty if it has none.
      unreadable: The reasons why images cannot be read, by index.
    """

    count: int
    digest: str
    unreadable: dict[int, str]


def examine(data: Data) -> Examined | None:
    """Decodes all images of a data set, so that none ends a run after hours.

    A JPEG is decoded to an eighth of its size, which finds the same damage in less time. What
    cannot be read is listed on stderr and counted, after the notes of the source. There is a bar if
    it takes seconds.

    Returns:
      What was found; None if there is nothing to look at.

    Raises:
      InputError: All images are the same, pixel by pixel.
    """
    source = unwrapped(data.source)
    unreadable = getattr(source, "unreadable", None)
    if unreadable is None:
        return None
    for note in getattr(source, "notes", ()):
        print(f"jhash: {printable(note)}", file=sys.stderr)
    used = np.unique(np.concatenate([getattr(data, name) for name in _SETS]))
    found: dict[int, str] = {}
    with tqdm.tqdm(total=len(used), desc="check", unit="img", disable=None, delay=2) as bar:
        for start in range(0, len(used), _BLOCK):
            block = used[start : start + _BLOCK]
            errors = zip(block.tolist(), unreadable(block), strict=True)
            found |= {index: error for index, error in errors if error is not None}
            bar.update(len(block))
    _report(found, len(used))
    _check_differ(source, used[~np.isin(used, list(found))])
    return Examined(len(source), getattr(source, "digest", ""), found)


def without_unreadable(data: Data, examined: Examined) -> Data:
    """Takes the images that cannot be read out of all sets; indices of the others stay.

    Args:
      data: The data.
      examined: What `examine` has found, perhaps in an earlier process.

    Raises:
      InputError: The images of the source are others now, or no image of a set can be read.
    """
    check_same(data.source, examined)
    if not examined.unreadable:
        return data
    gone = np.array(list(examined.unreadable))
    kept = {name: getattr(data, name) for name in _SETS}
    kept = {name: indices[~np.isin(indices, gone)] for name, indices in kept.items()}
    for name, indices in kept.items():
        if not len(indices) and len(getattr(data, name)):
            raise InputError(
                f"source: {len(getattr(data, name)):,} images of the set {name} given, none of "
                f"which can be used ({next(iter(examined.unreadable.values()))}); allowed: at "
                "least one that can."
            )
    return dataclasses.replace(data, **kept)


def check_same(source: Source, examined: Examined) -> None:
    """Checks that a source has the images that were examined.

    Raises:
      InputError: Its images are others.
    """
    source = unwrapped(source)
    digest = getattr(source, "digest", "")
    # Runs of older versions have no digest of lists.
    if len(source) != examined.count or (examined.digest and digest != examined.digest):
        other = ", with other names or labels, or other lists" * (len(source) == examined.count)
        raise InputError(
            f"source: {len(source):,} images given, which are not those with which the run began: "
            f"{examined.count:,} images{other}; allowed: the same files as then. For new files, "
            "begin a new run."
        )


def unwrapped(source):
    """Returns the source of the images behind sources that only replace labels."""
    while isinstance(source, RelabeledSource):
        source = source.source
    return source


def _report(unreadable, count):
    """Lists the images that cannot be read, and says how many they are."""
    errors = list(unreadable.values())
    for error in errors[:_PRINTED]:
        print(f"jhash: {printable(error)}", file=sys.stderr)
    if errors:
        more = f" ({len(errors) - _PRINTED:,} more than are listed)" * (len(errors) > _PRINTED)
        print(
            f"jhash: {len(errors):,} of {count:,} images cannot be read and are left out{more}.",
            file=sys.stderr,
        )


def _check_differ(source, indices):
    """Checks that not all images are the same; it looks at no more than it has to."""
    if len(indices) < 2:
        return
    first = source.images(indices[:1])
    # The second image nearly always differs from the first.
    ends = [1, *range(2, len(indices), _BLOCK), len(indices)]
    for start, end in itertools.pairwise(ends):
        if (source.images(indices[start:end]) != first).any():
            return
    raise InputError(
        f"source: {len(indices):,} images given that are all the same; allowed: images that "
        "differ, as nothing can be learned from these."
    )
