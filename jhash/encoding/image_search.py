"""Search of an index of images: the encoder that belongs to it, and results per query."""

import itertools
import os
from collections.abc import Collection

import numpy as np

from jhash.encoding import compatibility, encoder, fitted
from jhash.encoding.encoder import FileEncoder
from jhash.errors import InputError
from jhash.retrieval import HammingIndex
from jhash.retrieval.checks import as_whole

DEFAULT_RESULTS = 10  # Per query.
MAX_RESULTS = 2**31 - 1


def load_encoder(
    index: HammingIndex,
    path: str,
    workdir: str | None = None,
    trust_modules: Collection[str] = (),
) -> FileEncoder:
    """Loads the encoder with which query images of an index are encoded.

    Args:
      index: The index.
      path: The file of the index.
      workdir: The run's folder; by default the encoder beside the index, if there is one, or the
        run that made the codes.
      trust_modules: Modules of the user's own that the run may name; see `imports.opening`.

    Returns:
      The encoder.

    Raises:
      InputError: There is no such run or encoder, it names a module that is not trusted, or another
        model made the codes of the index.
    """
    beside = index.metadata.get("encoder")
    if workdir is None and beside is not None:
        file_encoder = fitted.load(path, beside, trust_modules)
        made_by = beside
    else:
        workdir = _workdir(index, path, workdir)
        file_encoder = encoder.load(workdir, trust_modules)
        made_by = workdir
    compatibility.check_same(
        (path, index.bits, index.metadata.get("network")),
        (made_by, file_encoder.bits, file_encoder.digest),
    )
    return file_encoder


def _workdir(index, name, workdir):
    """Returns the folder of the run that encodes the query images of an index."""
    workdir = workdir or index.metadata.get("run")
    if not isinstance(workdir, str | None):
        raise InputError(
            f"run: {name} names a run that is no text; allowed: the folder of the run that made "
            "the codes."
        )
    if workdir is None:
        raise InputError(
            f"run: none given; allowed: the folder of the run that made the codes, because {name} "
            "names none."
        )
    if not os.path.isdir(workdir):
        raise InputError(
            f"run: {workdir} given, which is no folder; allowed: the run of the index."
        )
    return workdir


def nearest(
    index: HammingIndex, queries: np.ndarray, k: int | None = None, radius: int | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Finds the images nearest to queries.

    Args:
      index: The index.
      queries: Packed codes, uint32 [Q, words].
      k: Results per query. Without a radius the default is 10, or as many as the index has.
      radius: The largest distance of a result; by default any.

    Returns:
      (distances int32 [n], ids [n]) for each query, sorted by (distance, insertion).

    Raises:
      InputError: k or the radius is out of range.
    """
    if radius is None:
        k = min(DEFAULT_RESULTS, len(index)) if k is None else k
        return list(zip(*index.search(queries, k), strict=True))
    if k is not None:
        as_whole("k", k, 1, MAX_RESULTS, "the results per query")
    limits, distances, ids = index.search_radius(queries, radius)
    slices = [slice(*pair) for pair in itertools.pairwise(limits)]
    return [(distances[hits][:k], ids[hits][:k]) for hits in slices]
