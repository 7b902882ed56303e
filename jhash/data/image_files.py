"""Image files: finds them in folders and gives them ids."""

import collections
import os
import sys
from collections.abc import Iterator, Sequence

from jhash.data.decoding import FORMATS
from jhash.errors import InputError, printable
from jhash.system import text

EXTENSIONS = (
    *(".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff"),
    ".webp",
)


def find(places: Sequence[str]) -> dict[str, str]:
    """Finds the image files in folders, and those that are given themselves.

    Args:
      places: Folders and files. A folder and all folders below it, links included, are searched for
        files whose names end in one of `EXTENSIONS`, in either case. A file is taken as it is.

    Returns:
      Paths by id, in the order of the places and sorted by id within a place. The id of an image is
      its path relative to the place, or the place itself if that is a file.

    Raises:
      InputError: A place does not exist, there is no image, two images have the same id, or folders
        are nested too deeply.
    """
    path_of: dict[str, str] = {}
    others: collections.Counter[str] = collections.Counter()
    for place in places:
        if not os.path.exists(place):
            raise InputError(
                f"places: {place} given, but there is no file or folder {place}; allowed: files "
                "and folders that exist."
            )
        try:
            paths = list(_walk(place, others)) if os.path.isdir(place) else [place]
        except RecursionError:
            raise InputError(
                f"places: {place} given, with a thousand folders in each other; allowed: fewer."
            ) from None
        for name, path in sorted((_name(path, place), path) for path in paths):
            if name in path_of:
                raise _same_id(name, path_of[name], path)
            path_of[name] = path
    if not path_of:
        raise _no_images(places, others)
    return path_of


def _same_id(name: str, one: str, other: str) -> InputError:
    if os.path.normpath(one) == os.path.normpath(other):
        return InputError(f"places: {other} given twice; allowed: each image once.")
    return InputError(
        f"places: {one} and {other} given, which would have the same id, {name}; allowed: the "
        "folder that both are in."
    )


def _no_images(places: Sequence[str], others: collections.Counter[str]) -> InputError:
    """Makes the error for folders without images; it says which files there are instead."""
    files = ", ".join(
        f"{count:,} {text.shortened(ending, 20) or 'without an ending'}"
        for ending, count in others.most_common(3)
    )
    return InputError(
        f"places: {', '.join(places[:3])}{', ...' * (len(places) > 3)} given, with "
        f"{f'{others.total():,} files that are not read ({files})' if others else 'no file'}; "
        f"allowed: folders in which some file ends in one of {' '.join(EXTENSIONS)}, of the "
        f"formats {', '.join(FORMATS)}."
    )


def _walk(folder: str, others: collections.Counter[str]) -> Iterator[str]:
    """Yields the paths of the image files in a folder and below it; counts other files by ending.

    A folder that cannot be read is reported on stderr and left out.
    """

    def report(error: OSError) -> None:
        name = printable(os.fsdecode(error.filename))
        print(f"jhash: {name}: {error.strerror}; the folder is left out.", file=sys.stderr)

    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, onerror=report, followlinks=True):
        for name in sorted(folders):
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


def _name(path: str, place: str) -> str:
    """Returns the id of the image at `path` that was found in `place`."""
    # A file's name need not be text, but an id is.
    return text.decodable(path if path == place else os.path.relpath(path, place))
