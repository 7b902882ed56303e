"""Codes to and from the binary indices of faiss, which needs to be installed for this only."""

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.checks import as_whole


def write(data: np.ndarray, ids: np.ndarray):
    """Makes faiss's index of codes.

    Args:
      data: The codes' bytes, uint8 [N, ceil(bits / 8)], as `HammingIndex.export` gives them.
      ids: int64 [N], or an object array of strings.

    Returns:
      `faiss.IndexBinaryFlat` if the ids are 0 to N - 1 in this order, else a
      `faiss.IndexBinaryIDMap` of one.

    Raises:
      InputError: faiss is missing, or ids are strings.
    """
    faiss = _import_faiss()
    if ids.dtype == object:
        raise InputError("ids: faiss has integer ids only, and those of this index are strings.")
    flat = faiss.IndexBinaryFlat(8 * data.shape[1])
    if np.array_equal(ids, np.arange(len(ids))):
        flat.add(data)
        return flat
    mapped = faiss.IndexBinaryIDMap(flat)
    mapped.add_with_ids(data, ids)
    return mapped


def read(faiss_index, bits: int | None) -> tuple[np.ndarray, int, np.ndarray | None]:
    """Takes the codes out of faiss's index.

    Args:
      faiss_index: `IndexBinaryFlat`, or `IndexBinaryIDMap` or `IndexBinaryIDMap2` of one.
      bits: Code length, 1 to faiss's; faiss's, a multiple of 8, if None.

    Returns:
      Packed codes uint32 [N, ceil(bits / 32)], their length, and the ID map's ids int64 [N] or
      None.

    Raises:
      InputError: faiss is missing, it is another kind of index, or a code has bits set beyond
        `bits`.
    """
    faiss = _import_faiss()
    flat, ids = faiss_index, None
    if isinstance(faiss_index, faiss.IndexBinaryIDMap):
        flat = faiss.downcast_IndexBinary(faiss_index.index)
        ids = faiss.vector_to_array(faiss_index.id_map)
    if not isinstance(flat, faiss.IndexBinaryFlat):
        raise InputError(
            f"faiss_index: got {type(faiss_index).__name__} of {type(flat).__name__}; allowed "
            "are IndexBinaryFlat, and IndexBinaryIDMap or IndexBinaryIDMap2 of one."
        )
    rows = faiss.vector_to_array(flat.xb).reshape(flat.ntotal, flat.code_size)
    if bits is None:
        bits = flat.d
    else:
        bits = as_whole("bits", bits, 1, flat.d, "the code length of faiss's index")
        rows = _shortened(rows, bits)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    return rows.view("<u4").astype(np.uint32, copy=False), bits, ids


def _shortened(rows, bits):
    """Drops the bytes beyond the code length, having checked the bits."""
    whole, used = divmod(bits, 8)
    beyond = rows[:, whole + (used > 0) :].any(axis=1)
    if used:
        beyond |= rows[:, whole] >> used != 0
    if beyond.any():
        raise InputError(
            f"bits: got {bits}, but row {int(np.argmax(beyond))} of faiss's index has bits set "
            "beyond it; give the length of the codes that went in."
        )
    return rows[:, : -(-bits // 8)]


def _import_faiss():
    try:
        import faiss
    except ImportError as error:
        raise InputError("faiss is not installed; pip install faiss-cpu.") from error
    return faiss
