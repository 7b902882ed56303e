"""What has changed in the folders of an index since it last looked at them.

An index keeps where its images are, in its metadata:

    root      the folder at which the ids begin, absolute; an absolute id lies elsewhere
    folders   the folders that were searched, relative to the root or absolute; left out where it is
              the root alone
    newest    the latest time at which one of the images was modified, in seconds since 1970

The metadata may be somebody else's. Nothing here imports JAX, since an update that finds no change
should take no time.
"""

import math
import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jhash.data import image_files
from jhash.data.image_files import Found, is_within, relative_id
from jhash.errors import InputError
from jhash.system import text


class Place(NamedTuple):
    """Where the images of an index are; see the module."""

    root: str | None
    folders: list[str]
    newest: float | None


class Look(NamedTuple):
    """A look at the folders of an index.

    Attributes:
      place: Where the images of the index are, after the update.
      searched: The folders and files that were looked at, absolute.
      found: The images that are there.
      newest: The latest time at which one of them was modified; None if not all folders of the
        index were looked at, so that there may be changes before that time in others.
      moved: The root until now, if it is gone and the folder that was given takes its place.
      ids: The ids of the index before the look. An image that was added since may be one that the
        look came too early for, and is not gone.
    """

    place: Place
    searched: list[str]
    found: Found
    newest: float | None
    moved: str | None
    ids: Collection[str]


class Changes(NamedTuple):
    """Images whose codes are to be added, made again, or removed.

    Attributes:
      new: Paths by id.
      changed: Paths by id.
      gone: Ids.
      unchanged: Number of images that stay as they are.
    """

    new: dict[str, str]
    changed: dict[str, str]
    gone: list[str]
    unchanged: int


def metadata(found: Found) -> dict[str, Any]:
    """Makes the metadata of an index of images that were found."""
    return as_metadata(Place(found.root, found.folders, newest(found.path_of.values())))


def as_metadata(place: Place) -> dict[str, Any]:
    """Writes a place as metadata of an index."""
    entries = {
        "root": place.root,
        "folders": None if place.folders == ["."] else place.folders,
        "newest": place.newest,
    }
    return {name: value for name, value in entries.items() if value is not None}


def place_of(index_path: str, metadata: Mapping[str, Any]) -> Place:
    """Reads where the images of an index are.

    Raises:
      InputError: An entry is of another kind.
    """
    root, folders, latest = (metadata.get(name) for name in ("root", "folders", "newest"))
    if root is not None and not (_is_path(root) and os.path.isabs(root)):
        raise _wrong(index_path, "root", root, "an absolute path")
    if folders is None:
        folders = ["."] if root is not None else []
    if not isinstance(folders, list) or not all(map(_is_path, folders)):
        raise _wrong(index_path, "folders", folders, "a list of paths")
    is_number = isinstance(latest, int | float) and not isinstance(latest, bool)
    if latest is not None and not (is_number and math.isfinite(latest)):
        raise _wrong(index_path, "newest", latest, "seconds since 1970")
    return Place(None if root is None else os.path.normpath(root), folders, latest)


def searched(place: Place) -> list[str]:
    """Returns the folders that were searched, absolute, of a place with a root."""
    return [path_of(folder, place.root) for folder in place.folders]


def newest(paths: Iterable[str]) -> float:
    """Returns the latest time at which one of the files was modified, no later than now."""
    times = [modified for path in paths if (modified := _modified(path)) is not None]
    # Of a file from the future nobody could tell later whether it has changed.
    return min(max(times, default=0.0), time.time())


def look(index_path: str, place: Place, given: Sequence[str], ids: Sequence[str]) -> Look:
    """Searches the folders of an index.

    A folder takes the place of a root that is gone if an image of the index is in it. Otherwise it
    is one more, as the root may be on a disk that is not mounted.

    Args:
      index_path: The file of the index.
      place: Where its images are.
      given: Folders and files to look at; if there are none, the folders of the index.
      ids: Ids of the index.

    Raises:
      InputError: The index names no folders and none are given, or its ids are integers, or as
        `image_files.find` does.
    """
    root, folders, _ = place
    moved = None
    if not given:
        if root is None or not folders:
            raise InputError(
                f"places: none given; allowed: folders, because {index_path} does not say in which "
                "its images are."
            )
        if not os.path.isdir(root):
            raise InputError(
                f"places: none given; allowed: the folder in which the images are now, because "
                f"{root}, which {index_path} names, is no folder."
            )
    if len(ids) and not isinstance(ids[0], str):
        raise InputError(
            "index: integers as ids given; allowed: an index of image files, whose ids are paths."
        )
    if not given:
        given = _outermost(searched(place))
    elif root is not None and folders == ["."] and _has_moved(root, given, ids):
        moved, root = root, os.path.abspath(given[0])
    elif root is not None:
        given = [_within_root(path, root) for path in given]
    looked_at = [os.path.abspath(path) for path in given]
    found = image_files.find(given)
    root = found.root if root is None else root
    # New folders may lie in known ones, and known ones in them.
    known = [path_of(folder, root) for folder in folders]
    known = _outermost([*known, *(path for path in looked_at if os.path.isdir(path))])
    seen = [any(is_within(folder, path) for path in looked_at) for folder in known]
    whole = bool(seen) and all(seen) and not found.unread
    latest = newest(found.path_of.values()) if whole else None
    folders = [os.path.relpath(path, root) if is_within(path, root) else path for path in known]
    new = Place(root, folders, place.newest)
    return Look(new, looked_at, found, latest, moved, frozenset(ids))


def compare(seen: Look, ids: Sequence[str], since: float) -> Changes:
    """Compares the images of an index with those that are there.

    Images of the index outside of what was looked at are neither gone nor counted, and so are those
    in folders that could not be read.

    Args:
      seen: The look.
      ids: Ids of the index; those of images that were added since the look may be among them.
      since: Files that were modified later than this have changed, in seconds since 1970.
    """
    root = seen.place.root
    # Names of files need not be text, but ids are; so paths are compared as text, too.
    searched, unread = (
        [text.decodable(os.path.abspath(path)) for path in paths]
        for paths in (seen.searched, seen.found.unread)
    )
    there = {text.decodable(os.path.abspath(path)): path for path in seen.found.path_of.values()}
    known = set()
    changed = {}
    gone = []
    for name in ids:
        path = path_of(name, text.decodable(root))
        known.add(path)
        if path in there:
            modified = _modified(there[path])
            if modified is not None and modified > since:
                changed[name] = there[path]
        elif (
            name in seen.ids
            and any(is_within(path, folder) for folder in searched)
            and not any(is_within(path, folder) for folder in unread)
        ):
            gone.append(name)
    new = {relative_id(path, root): path for name, path in there.items() if name not in known}
    kept = sum(path in known for path in there) - len(changed)
    return Changes(new, changed, gone, kept)


def path_of(identifier: str, root: str) -> str:
    """Returns the path of an image or a folder of an index.

    Args:
      identifier: Its id, or a folder as the metadata name it.
      root: The root of the index.
    """
    return os.path.normpath(os.path.join(root, identifier))


def moved(ids: Iterable[str], root: str, to: str) -> list[str]:
    """Returns ids that begin at one root as ids that begin at another."""
    return [relative_id(os.path.join(text.decodable(root), name), to) for name in ids]


def _has_moved(root, given, ids):
    """Tells if a root is gone, and a folder has images of the index in its place."""
    if os.path.isdir(root) or len(given) != 1 or not os.path.isdir(given[0]):
        return False
    there = os.path.abspath(given[0])
    return any(not os.path.isabs(name) and os.path.lexists(path_of(name, there)) for name in ids)


def _outermost(folders):
    """Leaves out folders that lie in others."""
    distinct = list(dict.fromkeys(folders))
    return [
        folder
        for folder in distinct
        if not any(is_within(folder, other) for other in distinct if other != folder)
    ]


def _is_path(value):
    """Returns whether a value can be the path of a file at all."""
    try:
        return isinstance(value, str) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:  # Half characters that stand for no bytes.
        return False


def _modified(path):
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


def _within_root(path, root):
    """Returns a path below the root where it leads there by another way, as through a link."""
    real, real_root = os.path.realpath(path), os.path.realpath(root)
    if is_within(os.path.abspath(path), root) or not is_within(real, real_root):
        return path
    return os.path.normpath(os.path.join(root, os.path.relpath(real, real_root)))


def _wrong(index_path, name, value, allowed):
    return InputError(f"{index_path}: {name}: {value!r:.80} given; allowed: {allowed}.")
