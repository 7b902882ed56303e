"""The classes of an index's codes, as far as its metadata or ids say them."""

import os
from collections.abc import Callable

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.index import HammingIndex
from jhash.runs import code_files, paths

SEPARATOR = "|"


def of_index(index: HammingIndex) -> Callable[[np.ndarray], list[str]]:
    """Returns a function that names the classes of an index's codes.

    In a collection of images, the class of one is the folder that it is in. In the database of a
    run, the classes are the numbers of its labels, if the run's folder is still there.

    Args:
      index: The index.

    Returns:
      A function from ids [M], int64 or strings, to the classes of each, separated by |; empty where
      they are not known.
    """
    label_of = _labels_of_run(index.metadata)

    def classes(ids: np.ndarray) -> list[str]:
        if ids.dtype != object:
            return [label_of.get(identifier, "") for identifier in ids.tolist()]
        return [os.path.basename(os.path.dirname(identifier)) for identifier in ids]

    return classes


def _labels_of_run(metadata):
    """Returns the classes of each id of a run's database; empty if there is no such run."""
    run, database = metadata.get("run"), metadata.get("database")
    if not isinstance(run, str) or database not in paths.DATABASES:
        return {}
    try:
        content = code_files.read(paths.codes(run, database))
    except InputError:
        return {}
    ids, labels = content.ids, content.labels
    if ids is None or labels is None or labels.dtype.kind not in "iub":
        return {}
    if len(ids) != len(labels) or labels.ndim not in (1, 2):
        return {}
    # The run may have been trained again since then.
    if content.metadata.get("network") != metadata.get("network"):
        return {}
    if labels.ndim == 1:
        return dict(zip(ids.tolist(), map(str, labels.tolist()), strict=True))
    names = [SEPARATOR.join(map(str, np.flatnonzero(row))) for row in labels]
    return dict(zip(ids.tolist(), names, strict=True))
