"""Exchange of codes with faiss's binary indices. Only this package needs faiss to be installed."""

from typing import Any

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.checks import as_whole


def write(data: np.ndarray, ids: np.ndarray) -> Any:
    """Makes a faiss index of codes.

    Args:
      data: The bytes of the codes, uint8 [N, ceil(bits / 8)], as `HammingIndex.export` returns
        them.
      ids: The ids of the codes, int64 [N] or an object array of N strings.

    Returns:
      A `faiss.IndexBinaryFlat` if the ids are 0 to N - 1 in this order, else a
      `faiss.IndexBinaryIDMap` of one.

    Raises:
      InputError: faiss is not installed, or the ids are strings.
    """
    faiss = _import_faiss()
    if ids.dtype == object:
        raise InputError("ids: strings given; allowed: int64, because faiss has integer ids only.")
    flat = faiss.IndexBinaryFlat(8 * data.shape[1])
    if np.array_equal(ids, np.arange(len(ids))):
        flat.add(data)
        return flat
    mapped = faiss.IndexBinaryIDMap(flat)
    mapped.add_with_ids(data, ids)
    return mapped


def read(faiss_index: Any, bits: int | None) -> tuple[np.ndarray, int, np.ndarray | None]:
    """Reads the codes of a faiss index.

    Args:
      faiss_index: An `IndexBinaryFlat`, or an `IndexBinaryIDMap` or `IndexBinaryIDMap2` of one.
      bits: Code length, 1 to that of the faiss index, which is a multiple of 8; None for that of
        the faiss index.

    Returns:
      Packed codes uint32 [N, ceil(bits / 32)], their code length, and the ids of an ID map, int64
      [N], or None if there is no ID map.

    Raises:
      InputError: faiss is not installed, the index is of another kind, or a code has a bit set
        beyond the code length.
    """
    faiss = _import_faiss()
    flat = faiss_index
    ids = None
    if isinstance(faiss_index, faiss.IndexBinaryIDMap):
        flat = faiss.downcast_IndexBinary(faiss_index.index)
        ids = faiss.vector_to_array(faiss_index.id_map)
    if not isinstance(flat, faiss.IndexBinaryFlat):
        raise InputError(
            f"faiss_index: {type(faiss_index).__name__} of {type(flat).__name__} given; allowed: "
            "IndexBinaryFlat, and IndexBinaryIDMap or IndexBinaryIDMap2 of one."
        )
    data = faiss.vector_to_array(flat.xb)
    # A file that faiss has read may contradict itself.
    if (
        flat.d != 8 * flat.code_size
        or data.size != flat.ntotal * flat.code_size
        or (ids is not None and len(ids) != flat.ntotal)
    ):
        raise InputError(
            f"faiss_index: {flat.ntotal} codes of {flat.d} bits in {data.size} bytes given; "
            "allowed: as many bytes as the codes have, and as many ids as codes."
        )
    data = data.reshape(flat.ntotal, flat.code_size)
    if bits is None:
        bits = flat.d
    else:
        bits = as_whole("bits", bits, 1, flat.d, "the code length of the faiss index")
        data = _shortened(data, bits)
    data = np.pad(data, ((0, 0), (0, -data.shape[1] % 4)))
    return data.view("<u4").astype(np.uint32, copy=False), bits, ids


def _shortened(data, bits):
    """Cuts the rows of bytes to a code length, after a check that no bit beyond it is set."""
    whole_bytes, used_bits = divmod(bits, 8)
    beyond = data[:, whole_bytes + (used_bits > 0) :].any(axis=1)
    if used_bits:
        beyond |= data[:, whole_bytes] >> used_bits != 0
    if beyond.any():
        row = int(np.argmax(beyond))
        raise InputError(
            f"bits: {bits} given; allowed: the length of the codes that were added, because row "
            f"{row} of the faiss index has bits set beyond {bits}."
        )
    return data[:, : -(-bits // 8)]


def _import_faiss():
    try:
        import faiss
    except ImportError as error:
        raise InputError("faiss is not installed; pip install faiss-cpu.") from error
    return faiss
