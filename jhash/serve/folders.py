"""The folders of an index's images: from ids to the files that may be shown."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jhash.data import image_changes
from jhash.data.image_files import is_within


class Folders(NamedTuple):
    """The folders whose images are shown.

    Attributes:
      roots: Folders at which relative ids may begin, absolute.
      allowed: Folders in which images may lie, absolute. An index may be somebody else's, and its
        ids must not lead out of the folders that it was built of.
    """

    roots: tuple[str, ...]
    allowed: tuple[str, ...]

    def missing(self) -> list[str]:
        """Returns the folders that are not there."""
        return [folder for folder in self.allowed if not os.path.isdir(folder)]

    def path_of(self, identifier: Any) -> str | None:
        """Returns the file of an image, or None if it is not known or may not be shown.

        Args:
          identifier: Its id; integers, as those of a run's database, have no file.
        """
        if not isinstance(identifier, str):
            return None
        for root in self.roots:
            path = image_changes.path_of(identifier, root)
            within = any(is_within(path, folder) for folder in self.allowed)
            if within and os.path.isfile(path):
                return path
        return None


def of_index(index_path: str, metadata: Mapping[str, Any], given: Sequence[str]) -> Folders:
    """Returns the folders of an index.

    Args:
      index_path: The file of the index.
      metadata: Its metadata.
      given: Folders that take the place of those that the metadata name; may be empty.

    Raises:
      InputError: The metadata are damaged.
    """
    if given:
        absolute = tuple(os.path.abspath(folder) for folder in given)
        return Folders(absolute, absolute)
    place = image_changes.place_of(index_path, metadata)
    if place.root is None:
        return Folders((), ())
    allowed = dict.fromkeys([place.root, *image_changes.searched(place)])
    return Folders((place.root,), tuple(allowed))
