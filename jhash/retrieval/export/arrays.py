"""Files of an index's codes and ids for other programs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from jhash.system import files, npy

if TYPE_CHECKING:  # An index imports this package, for faiss.
    from jhash.retrieval.index.hamming_index import HammingIndex


def write(
    index: "HammingIndex",
    faiss: str | None = None,
    packed: str | None = None,
    ids: str | None = None,
) -> None:
    """Writes an index for other programs, each file whole or not at all.

    Args:
      index: The index.
      faiss: File for `faiss.read_index_binary`; None writes none.
      packed: File of the codes as bytes, .npy of uint8 [N, ceil(bits / 8)]; None writes none.
      ids: File of the ids, .npy of int64 or str [N]; None writes none.

    Raises:
      InputError: faiss is missing, or it cannot hold the ids.
      OSError: A file cannot be written.
    """
    if faiss:
        exported = index.to_faiss()  # Raises InputError if faiss is not installed.
        from faiss import serialize_index_binary

        with files.replacing(faiss, "wb") as file:
            file.write(serialize_index_binary(exported))
    for path, rows in _arrays(index, packed, ids):
        with files.replacing(path, "wb") as file:
            npy.write(file, rows)


def _arrays(index, packed: str | None, ids: str | None) -> Iterator[tuple[str, np.ndarray]]:
    if packed:
        yield packed, index.export()
    if ids:
        yield ids, index.ids
