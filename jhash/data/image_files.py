"""Image files: finds them in folders and gives them ids."""

import os
from collections.abc import Iterator, Sequence

from jhash.errors import InputError

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def find(places: Sequence[str]) -> dict[str, str]:
    """Finds the image files in folders, and those that are given themselves.

    Args:
      places: Folders and files. A folder and all folders below it, links included, are searched for
        files whose names end in one of `EXTENSIONS`, in either case. A file is taken as it is.

    Returns:
      Paths by id, in the order of the places and sorted by id within a place. The id of an image is
      its path relative to the place, or the place itself if that is a file.

    Raises:
      InputError: A place does not exist, there is no image, or two images have the same id.
    """
    path_of: dict[str, str] = {}
    for place in places:
        if not os.path.exists(place):
            raise InputError(
                f"places: {place} given, but there is no file or folder {place}; allowed: files "
                "and folders that exist."
            )
        paths = _walk(place) if os.path.isdir(place) else [place]
        named = {_name(path, place): path for path in paths}
        for name in sorted(named):
            if name in path_of:
                raise InputError(
                    f"places: {path_of[name]} and {named[name]} given, which would have the same "
                    f"id, {name}; allowed: the folder that both are in."
                )
            path_of[name] = named[name]
    if not path_of:
        raise InputError(
            f"places: {', '.join(places)} given; allowed: folders in which some file ends in one "
            f"of {' '.join(EXTENSIONS)}."
        )
    return path_of


def _walk(folder: str) -> Iterator[str]:
    """Yields the paths of the image files in a folder and below it."""
    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True):
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(parent, name))
            if real in seen:  # A link back up, or a second way to the same folder.
                folders.remove(name)
            seen.add(real)
        folders.sort()
        yield from (os.path.join(parent, n) for n in names if n.lower().endswith(EXTENSIONS))


def _name(path: str, place: str) -> str:
    """Returns the id of the image at `path` that was found in `place`."""
    name = path if path == place else os.path.relpath(path, place)
    # A file's name need not be text, but an id is.
    return os.fsencode(name).decode(errors="backslashreplace")
