"""Search of an index of images: the encoder that belongs to it, and results per query."""

import functools
import itertools
import os
from collections.abc import Callable, Collection, Sequence
from concurrent import futures
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jhash.data import decoding
from jhash.encoding import same_picture
from jhash.errors import InputError
from jhash.retrieval import HammingIndex
from jhash.retrieval.checks import as_whole
from jhash.system import text

if TYPE_CHECKING:
    from jhash.encoding.encoder import FileEncoder

DEFAULT_RESULTS = 10  # Per query.
MAX_RESULTS = 2**31 - 1
# The nearest images by code, of which those that show the same picture as the query come first.
CANDIDATES = 50

_THREADS = 4  # Most of a comparison runs without the GIL, and reading waits for the disk.


class Hits(NamedTuple):
    """Results of a query, in their order.

    Attributes:
      distances: int32 [n], in bits.
      ids: int64 or strings [n].
      same: bool [n], whether an image is known to show the same picture as the query.
    """

    distances: np.ndarray
    ids: np.ndarray
    same: np.ndarray

    def taken(self, which) -> "Hits":
        """Returns some of the results: a slice, or an array of places or of bools."""
        return Hits(*(values[which] for values in self))


class Pictures(NamedTuple):
    """Small pictures, by which results are compared with their query.

    Attributes:
      queries: uint8 [height, width, 3] of each query, or None where there is none.
      find: Returns the picture of an image of the index by its id, or None. Several threads call
        it.
    """

    queries: Sequence[np.ndarray | None]
    find: Callable[[Any], np.ndarray | None]


def load_encoder(
    index: HammingIndex,
    path: str,
    workdir: str | None = None,
    trust_modules: Collection[str] = (),
) -> "FileEncoder":
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
    # Imported here: without images to encode, models are not needed, nor the seconds they take.
    from jhash.encoding import compatibility, encoder, fitted

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


def as_json(query: str, hits: Hits) -> dict[str, Any]:
    """Writes the results of a query as JSON holds them.

    Args:
      query: Name or id of the query image.
      hits: Its results.

    Returns:
      {"query": ..., "results": [{"rank": 1, "distance": ..., "id": ...}, ...]}. Results that show
      the same picture also have "same_picture": True.
    """
    results = []
    rows = zip(*(values.tolist() for values in hits), strict=True)
    for rank, (distance, identifier, same) in enumerate(rows, start=1):
        entry = {"rank": rank, "distance": distance, "id": identifier}
        results.append(entry | {"same_picture": True} if same else entry)
    # JSON has no half characters, by which Python stands for bytes that are no text.
    return {"query": text.decodable(query), "results": results}


def picture(path: str, name: str) -> np.ndarray | None:
    """Reads the picture of an image file for `Pictures`; returns None if it cannot be read.

    Args:
      path: The file.
      name: Its name.
    """
    try:
        return decoding.thumbnail(path, name, same_picture.SIDE)
    except InputError:
        return None


def nearest(
    index: HammingIndex,
    queries: np.ndarray,
    k: int | None = None,
    radius: int | None = None,
    pictures: Pictures | None = None,
) -> list[Hits]:
    """Finds the images nearest to queries.

    Args:
      index: The index.
      queries: Packed codes, uint32 [Q, words].
      k: Results per query. Without a radius the default is 10, or as many as the index has.
      radius: The largest distance of a result; by default any.
      pictures: Where given, the nearest images (`CANDIDATES`, or k if that is more) are looked at
        before the results are cut to k; see `same_first`.

    Returns:
      For each query its results, sorted by (distance, insertion) behind those that show the same
      picture.

    Raises:
      InputError: k or the radius is out of range.
    """
    candidates = 0 if pictures is None else CANDIDATES
    if radius is None:
        k = min(DEFAULT_RESULTS, len(index)) if k is None else k
        rows = zip(*index.search(queries, max(k, min(candidates, len(index)))), strict=True)
    else:
        if k is not None:
            as_whole("k", k, 1, MAX_RESULTS, "the results per query")
        limits, distances, ids = index.search_radius(queries, radius)
        slices = [slice(*pair) for pair in itertools.pairwise(limits)]
        rows = ((distances[hits], ids[hits]) for hits in slices)
    found = [Hits(*row, np.zeros(len(row[0]), bool)) for row in rows]
    if pictures is not None:
        found = [
            same_first(hits, query, pictures.find)
            for hits, query in zip(found, pictures.queries, strict=True)
        ]
    return [hits.taken(slice(k)) for hits in found]


def same_first(
    hits: Hits, query: np.ndarray | None, find: Callable[[Any], np.ndarray | None]
) -> Hits:
    """Puts those of the first results that show the same picture as the query before all others.

    Of the first `CANDIDATES` results, those that are a crop of the query, or of which the query is
    a crop, or which are a copy, come first, ordered by the difference of their colors. All others
    keep their order. See `same_picture`.

    Args:
      hits: The results.
      query: The picture of the query, uint8 [height, width, 3]; None if there is none.
      find: As that of `Pictures`.

    Returns:
      The same results in another order.
    """
    if query is None or not len(hits.ids):
        return hits
    wanted = same_picture.Picture(query)
    if not wanted.is_usable:
        return hits

    def compare(identifier: Any) -> float | None:
        pixels = find(identifier)
        if pixels is None:
            return None
        return same_picture.difference(wanted, same_picture.Picture(pixels))

    differences = np.full(len(hits.ids), np.inf)
    compared = _pool().map(compare, hits.ids[:CANDIDATES].tolist())
    for place, difference in enumerate(compared):
        if difference is not None:
            differences[place] = difference
    order = np.argsort(differences, kind="stable")
    return hits._replace(same=np.isfinite(differences)).taken(order)


@functools.cache
def _pool() -> futures.ThreadPoolExecutor:
    return futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="jhash-compare")
