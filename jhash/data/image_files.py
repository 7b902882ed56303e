"""Image files: finds them in folders and gives them ids."""

import collections
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from jhash.data.decoding import FORMATS
from jhash.errors import InputError, printable
from jhash.system import text

EXTENSIONS = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png"),
    *(".ppm", ".tif", ".tiff", ".webp"),
)
# What the server adds to the file of an index for the folder of thumbnails.
THUMBNAILS = ".thumbnails"
_ENDINGS = 3  # number of endings that a message shows


class Found(NamedTuple):
    """Image files, and where they were found.

    Attributes:
      root: The folder at which the paths of the images begin, absolute: the folder that was
        searched, the common parent of several places, or for files alone the current folder.
      folders: The folders that were searched, relative to the root.
      path_of: Paths by id.
      unread: Folders that could not be read, and were left out.
      others: Numbers of files of other types, by the ends of their names.
    """

    root: str
    folders: list[str]
    path_of: dict[str, str]
    unread: list[str]
    others: Mapping[str, int] = {}


def find(places: Sequence[str]) -> Found:
    """Finds the image files in folders, and those that are given themselves.

    Args:
      places: Folders and files. A folder and all folders below it, links included, are searched for
        files whose names end in one of `EXTENSIONS`, in either case. A file is taken as it is.

    Returns:
      The images, in the order of the places and sorted by id within a place. The id of an image is
      its path relative to the root, so that images of the same name in two folders have two ids. Of
      files alone, the ids are the files as they are given.

    Raises:
      InputError: A place does not exist, there is no image, two images have the same id, or folders
        are nested too deeply.
    """
    for place in places:
        if not os.path.exists(place):
            raise InputError(
                f"places: {place} given, but there is no file or folder {place}; allowed: files "
                "and folders that exist."
            )
    folders = [place for place in places if os.path.isdir(place)]
    root = _root(places) if folders else os.getcwd()
    path_of: dict[str, str] = {}
    others: collections.Counter[str] = collections.Counter()
    unread: list[str] = []
    for place in places:
        try:
            paths = list(_walk(place, others, unread)) if place in folders else [place]
        except RecursionError:
            raise InputError(
                f"places: {place} given, with a thousand folders in each other; allowed: fewer."
            ) from None
        named = [(relative_id(path, root) if folders else text.decodable(path)) for path in paths]
        for name, path in sorted(zip(named, paths, strict=True)):
            if name in path_of:
                raise _same_id(name, path_of[name], path)
            path_of[name] = path
    if not path_of:
        raise _no_images(places, others)
    searched = [os.path.relpath(folder, root) for folder in folders]
    return Found(root, searched, path_of, unread, dict(others))


def others_in_words(others: Mapping[str, int]) -> str:
    """Says how many files of other types there are; empty if there are none."""
    count = sum(others.values())
    if not count:
        return ""
    files = "1 file of another type is" if count == 1 else f"{count:,} files of other types are"
    return f"{files} left out ({_by_ending(others)})."


def relative_id(path: str, root: str) -> str:
    """Returns the id of an image: its path relative to a root, absolute if it lies elsewhere.

    Args:
      path: The image.
      root: A folder, absolute.

    Returns:
      Text; bytes of a name that are no text are written as `\\xff`.
    """
    path = os.path.abspath(path)
    return text.decodable(os.path.relpath(path, root) if is_within(path, root) else path)


def is_within(path: str, folder: str) -> bool:
    """Returns whether a path is a folder or lies in it; both are absolute and without `..`."""
    return path == folder or path.startswith(os.path.join(folder, ""))


def _root(places: Sequence[str]) -> str:
    """Returns the folder that all places are in; of one place, that place."""
    absolute = {os.path.abspath(place) for place in places}
    root = os.path.commonpath(absolute)
    return root if os.path.isdir(root) else os.path.dirname(root)


def _same_id(name: str, one: str, other: str) -> InputError:
    if os.path.abspath(one) == os.path.abspath(other):
        return InputError(f"places: {other} given twice; allowed: each image once.")
    return InputError(
        f"places: {one} and {other} given, which would have the same id, {name}; allowed: names "
        "that are distinct as text."
    )


def _no_images(places: Sequence[str], others: collections.Counter[str]) -> InputError:
    """Makes the error for folders without images; it says which files there are instead."""
    files = f"{others.total():,} files that are not read ({_by_ending(others)})"
    return InputError(
        f"places: {', '.join(places[:3])}{', ...' * (len(places) > 3)} given, with "
        f"{files if others else 'no file'}; "
        f"allowed: folders in which some file ends in one of {' '.join(EXTENSIONS)}, of the "
        f"formats {', '.join(FORMATS)}."
    )


def _by_ending(others: Mapping[str, int]) -> str:
    """Lists the three most frequent endings."""
    most_first = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    shown = [
        f"{count:,} {text.shortened(ending, 20) or 'without an ending'}"
        for ending, count in most_first[:_ENDINGS]
    ]
    return ", ".join([*shown, *["..."] * (len(others) > _ENDINGS)])


def _walk(folder: str, others: collections.Counter[str], unread: list[str]) -> Iterator[str]:
    """Yields the paths of the image files in a folder and below it; counts other files by ending.

    A folder that cannot be read is reported on stderr, added to `unread` and left out. Thumbnails
    that the server keeps beside an index are left out as well.
    """

    def report(error: OSError) -> None:
        unread.append(error.filename)
        name = printable(os.fsdecode(error.filename))
        print(f"jhash: {name}: {error.strerror}; the folder is left out.", file=sys.stderr)

    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, onerror=report, followlinks=True):
        for name in sorted(folders):
            if name.endswith(THUMBNAILS) and name.removesuffix(THUMBNAILS) in names:
                folders.remove(name)
                continue
            real = os.path.realpath(os.path.join(parent, name))
            if real in seen:  # A link back up, or a second way to the same folder.
                folders.remove(name)
            seen.add(real)
        folders.sort()
        for name in names:
            if name.lower().endswith(EXTENSIONS):
                yield os.path.join(parent, name)
            else:
                others[os.path.splitext(name)[1].lower()] += 1
