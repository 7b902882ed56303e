"""Image files in folders: which there are, and the ids that they get."""

import os
from collections.abc import Iterator, Sequence

from jhash.errors import InputError

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def find(places: Sequence[str]) -> dict[str, str]:
    """The images in folders, and files.

    Args:
      places: Folders, searched with all that is below them, also through links, for files with one
        of `EXTENSIONS` in either case; and files, taken as they are.

    Returns:
      Paths by id. An image's id is its path relative to the folder given, or the file as given.
      Sorted by id within a place.

    Raises:
      InputError: A place does not exist, there is no image, or two have the same id.
    """
    found: dict[str, str] = {}
    for place in places:
        if not os.path.exists(place):
            raise InputError(f"--images: there is no file or folder {place}.")
        paths = _walk(place) if os.path.isdir(place) else [place]
        named = {_name(path, place): path for path in paths}
        for name in sorted(named):
            if name in found:
                raise InputError(
                    f"--images: {found[name]} and {named[name]} would have the same id, {name}; "
                    "give the folder that both are in."
                )
            found[name] = named[name]
    if not found:
        raise InputError(
            f"--images: no file in {', '.join(places)} ends in one of {' '.join(EXTENSIONS)}."
        )
    return found


def _walk(folder: str) -> Iterator[str]:
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
    name = path if path == place else os.path.relpath(path, place)
    # A name need not be text; an id is.
    return os.fsencode(name).decode(errors="backslashreplace")
