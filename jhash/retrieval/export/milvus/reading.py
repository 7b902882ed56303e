"""Codes of a collection of Milvus back to an index."""

from typing import TYPE_CHECKING

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.export.milvus.collection import Collection

if TYPE_CHECKING:  # An index imports `export`, for faiss.
    from jhash.retrieval.index.hamming_index import HammingIndex

_BATCH = 10_000


def read(uri: str, name: str) -> "HammingIndex":
    """Makes an index of the codes of a collection that `write` has made.

    Args:
      uri: Where; see `Collection`.
      name: Name of the collection.

    Returns:
      The index, in the order of the one that was written, with its metadata.

    Raises:
      InputError: Nothing answers there, there is no such collection, several models made its codes,
        or they are damaged.
    """
    from jhash.retrieval.index.hamming_index import HammingIndex

    collection = Collection(uri, name)
    description = collection.describe()
    collection.check_network(description)
    count = collection.count()
    size = -(-description.bits // 8)
    codes = np.zeros((count, -(-description.bits // 32) * 4), np.uint8)
    positions = np.empty(count, np.int64)
    ids: list[int] | list[str] = []
    with collection.asking():
        rows = collection.client.query_iterator(
            name, batch_size=_BATCH, output_fields=["id", "position", "code"]
        )
        try:
            while batch := rows.next():
                places = slice(len(ids), len(ids) + len(batch))
                if places.stop > count:
                    break
                content = b"".join(as_bytes(row["code"]) for row in batch)
                codes[places, :size] = np.frombuffer(content, np.uint8).reshape(len(batch), size)
                positions[places] = [row["position"] for row in batch]
                ids += [row["id"] for row in batch]
        finally:
            rows.close()
    if len(ids) != count:
        raise InputError(
            f"collection: {name} given, which changed while it was read; allowed: one that nothing "
            "else writes to meanwhile."
        )
    order = np.argsort(positions, kind="stable")
    kind = np.int64 if description.id_kind == "int64" else object
    sorted_ids = np.array(ids, dtype=kind)[order]
    packed = codes[order].view("<u4").astype(np.uint32, copy=False)
    return HammingIndex.build(packed, description.bits, sorted_ids, description.metadata)


def as_bytes(code: bytes | list[bytes]) -> bytes:
    """Returns the bytes of a vector, which some versions of Milvus give within a list."""
    return code[0] if isinstance(code, list) else code
