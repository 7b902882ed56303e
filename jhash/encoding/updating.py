"""Update of an index of images: what changed in their folders since."""

from collections.abc import Callable, Container, Sequence
from typing import NamedTuple

import numpy as np

from jhash.data import image_changes
from jhash.data.image_changes import Look
from jhash.retrieval import HammingIndex


class Updated(NamedTuple):
    """Numbers of images: added, encoded again, removed, left as they are."""

    added: int
    changed: int
    removed: int
    unchanged: int


def update(
    index: HammingIndex,
    look: Look,
    since: float,
    encode: Callable[[Sequence[str]], tuple[np.ndarray, list[str | None]]],
    unreadable: Container[str] = (),
    only_new: bool = False,
) -> Updated:
    """Adds new images to an index, removes those that are gone, encodes changed ones again.

    An image that is encoded again moves to the end of the order of insertion. One that cannot be
    read any more is removed.

    Args:
      index: The index.
      look: A look at its folders.
      since: As for `image_changes.compare`.
      encode: Function from paths to packed codes of those that can be read, uint32 [R, words], and
        for each path None or the reason why it cannot be read. Only called with one path or more.
      unreadable: Paths of new images of which it is known that they cannot be read.
      only_new: Only adds images; those that changed or are gone stay as they are.

    Raises:
      InputError: As `encode` does, or the ids of the index are integers.
    """
    changes = image_changes.compare(look, index.ids.tolist(), since)
    changed = {} if only_new else changes.changed
    gone = [] if only_new else changes.gone
    new = {name: path for name, path in changes.new.items() if path not in unreadable}
    paths = new | changed
    readable = []
    if paths:
        codes, errors = encode(list(paths.values()))
        readable = [name for name, error in zip(paths, errors, strict=True) if error is None]
    if removed := [*gone, *changed]:
        index.remove(removed)
    if readable:
        index.add(codes, readable)
    index.metadata.update(image_changes.as_metadata(_after(look, since, changes, only_new)))
    again = len(set(readable) & set(changed))
    return Updated(len(readable) - again, again, len(removed) - again, changes.unchanged)


def _after(look, since, changes, only_new):
    """Returns where the images are, with the time after which the next update sees a change."""
    # Changed images that stay as they are must be seen as such by the next update.
    if look.newest is None or (only_new and changes.changed):
        return look.place._replace(newest=since)
    return look.place._replace(newest=max(look.newest, look.place.newest or 0.0))
