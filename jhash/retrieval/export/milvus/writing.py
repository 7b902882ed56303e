"""Codes of an index to a collection of Milvus: in batches, and resumed after a kill."""

import itertools
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.export.milvus.collection import Collection, Description
from jhash.retrieval.export.milvus.searching import MilvusIndex

if TYPE_CHECKING:  # An index imports `export`, for faiss.
    from jhash.retrieval.index.hamming_index import HammingIndex

_BATCH = 10_000
# Codes of the index that are searched for in the collection, and results of each.
_TRIED = 10
_TRIED_RESULTS = 10


class Written(NamedTuple):
    """What `write` has done."""

    inserted: int  # Number of codes that it has inserted.
    found: int  # Number of codes that were there before.


def write(
    index: "HammingIndex",
    uri: str,
    name: str,
    classes: Callable[[np.ndarray], Sequence[str]] | None = None,
    path: str = "",
    report: Callable[[int], None] = lambda count: None,
) -> Written:
    """Writes the codes of an index to a collection, which is made if it is not there.

    A call that was killed is resumed by the same call: what is there stays. Only one process may
    write a collection at a time. In the end, codes of the index are searched for in the
    collection, and the distances compared with the index's.

    Args:
      index: The index.
      uri: Where; see `Collection`.
      name: Name of the collection.
      classes: Function from ids [M] to the names of the classes of each, separated by |; None for
        none.
      path: File of the index, absolute, for those who search the collection.
      report: Called with the number of codes of each batch.

    Returns:
      How many codes were inserted, and how many were there.

    Raises:
      InputError: Nothing answers there, the collection holds other codes or those of another model,
        or its results are not those of the index.
    """
    if not len(index):
        raise InputError("index: an empty one given; allowed: one with codes.")
    collection = Collection(uri, name)
    content, longest = _content(index)
    description = Description(index.bits, index.id_kind, content, path, index.metadata)
    if collection.exists():
        _check_same(collection, description)
    else:
        collection.create(description, 8 * -(-index.bits // 8), longest)
    found = _complete(collection, len(index))
    report(found)
    network = description.network()
    start = 0
    for codes, ids in index.batches(_BATCH):
        skipped = min(len(codes), max(0, found - start))
        if skipped < len(codes):
            names = classes(ids) if classes else [""] * len(ids)
            rows = [
                {
                    "id": identifier,
                    "position": position,
                    "code": code.tobytes(),
                    "classes": class_names,
                    "network": network,
                }
                for position, (identifier, code, class_names) in enumerate(
                    zip(ids.tolist(), codes, names, strict=True), start
                )
            ]
            with collection.asking():
                collection.client.insert(name, rows[skipped:])
            report(len(codes) - skipped)
        start += len(codes)
    with collection.asking():
        collection.client.flush(name)
    _check_results(index, collection)
    return Written(len(index) - found, found)


def _content(index):
    """Returns what tells the codes and ids of an index from others, and the longest id in bytes."""
    checksum = 0
    longest = 0
    for codes, ids in index.batches(_BATCH):
        checksum = zlib.crc32(codes.tobytes(), checksum)
        if ids.dtype != object:
            checksum = zlib.crc32(ids.astype("<i8").tobytes(), checksum)
            continue
        encoded = [text.encode() for text in ids]
        checksum = zlib.crc32(b"\0".join(encoded), checksum)
        longest = max(longest, *map(len, encoded))
    return f"{len(index)}-{checksum:08x}", longest


def _check_same(collection, description):
    theirs = collection.describe()
    name = collection.name
    if (theirs.bits, theirs.network()) != (description.bits, description.network()):
        raise InputError(
            f"collection: {name} given, which has codes of {theirs.bits} bits by the model "
            f"{theirs.network() or 'unknown'}; allowed: one of the model of the index, "
            f"{description.network() or 'unknown'}, with {description.bits} bits, or a new name."
        )
    if theirs.content != description.content:
        raise InputError(
            f"collection: {name} given, which was made of another index, or of this one before it "
            "changed; allowed: a new name, or that of an export of this very index."
        )
    collection.check_network(theirs)


def _complete(collection, size):
    """Returns the number of first codes that are there, after those behind a gap are deleted.

    A batch that was being inserted at a kill may be there in part. Milvus does not look whether an
    id is there twice.
    """
    total = collection.count()
    complete = min(total, size)
    if collection.count(f"position < {complete}") != complete:
        low, high = 0, complete
        while low < high:
            middle = (low + high + 1) // 2
            if collection.count(f"position < {middle}") == middle:
                low = middle
            else:
                high = middle - 1
        complete = low
    if total > complete:
        with collection.asking():
            collection.client.delete(collection.name, filter=f"position >= {complete}")
    return complete


def _check_results(index, collection):
    name = collection.name
    count = collection.count()
    if count != len(index):
        raise InputError(
            f"collection: {name} given, which has {count:,} codes after the export of "
            f"{len(index):,}; allowed: one that nothing else writes to."
        )
    remote = MilvusIndex(collection)
    step = max(1, len(index) // _TRIED)
    queries = index.codes([ids[0] for _, ids in itertools.islice(index.batches(step), _TRIED)])
    k = min(_TRIED_RESULTS, len(index))
    distances, ids = index.search(queries, k)
    theirs, their_ids = remote.search(queries, k)
    # Which codes come at the last distance is Milvus's choice.
    nearer = distances < distances[:, -1:]
    same = np.array_equal(distances, theirs) and np.array_equal(ids[nearer], their_ids[nearer])
    if not same:
        raise InputError(
            f"collection: {name} given, whose results are not those of the index; allowed: one "
            "with an exact index, BIN_FLAT, that nothing else writes to."
        )
