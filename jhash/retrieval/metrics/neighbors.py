"""What neighbors say of codes without labels: those by features, and those by other codes."""

import numpy as np

from jhash.errors import InputError
from jhash.retrieval.checks import as_codes, as_whole
from jhash.retrieval.metrics import ranking
from jhash.retrieval.packed import Array

_BLOCK = 64  # number of queries at a time, each with a row of the size of the database


def neighbors_kept(
    q_codes: Array, db_codes: Array, q_features: Array, db_features: Array, bits: int, k: int = 10
) -> np.ndarray:
    """Computes the share of the k nearest items by features among the k nearest by codes.

    Features are compared by their cosine, codes by their Hamming distance. It is the expectation
    over random orders of items at equal distances. Of equal cosines, the earlier item is nearer.

    Args:
      q_codes: Packed codes of the queries, uint32 [Q, ceil(bits / 32)].
      db_codes: Packed codes of the database, uint32 [N, ceil(bits / 32)].
      q_features: Features of the queries, [Q, z].
      db_features: Features of the database, [N, z].
      bits: Code length.
      k: Number of neighbors, 1 to N.

    Returns:
      float64 [Q], 0 to 1. Codes at random have k / N on average.

    Raises:
      InputError: The arrays do not fit each other, features are not finite, or k is out of range.
    """
    q_codes, db_codes = as_codes("q_codes", q_codes, bits), as_codes("db_codes", db_codes, bits)
    k = as_whole("k", k, 1, len(db_codes), "the size of the database")
    for name, features, codes in (
        ("q_features", q_features, q_codes),
        ("db_features", db_features, db_codes),
    ):
        if np.ndim(features) != 2 or len(features) != len(codes):
            raise InputError(
                f"{name}: {list(np.shape(features))} given; allowed: [{len(codes)}, z], a row per "
                "code."
            )
        # A cosine with NaN is none, and would be sorted among the others.
        if not np.isfinite(features).all():
            raise InputError(f"{name}: NaN or infinity given; allowed: finite features.")
    if np.shape(q_features)[1] != np.shape(db_features)[1]:
        raise InputError(
            f"q_features: {np.shape(q_features)[1]} features given; allowed: "
            f"{np.shape(db_features)[1]}, as db_features has."
        )
    q_features, db_features = _normalized(q_features), _normalized(db_features)
    kept = []
    for start in range(0, len(q_codes), _BLOCK):
        rows = slice(start, start + _BLOCK)
        cosines_BxN = q_features[rows] @ db_features.T
        nearest_BxK = np.argsort(-cosines_BxN, axis=1, kind="stable")[:, :k]
        distances_BxN = _distances(q_codes[rows], db_codes)
        near_BxK = np.take_along_axis(distances_BxN, nearest_BxK, axis=1)
        total_BxD, relevant_BxD = (_histograms(array, bits) for array in (distances_BxN, near_BxK))
        kept.append(ranking.relevant_at(total_BxD, relevant_BxD, k) / k)
    return np.concatenate(kept) if kept else np.empty(0)


def neighbors_shared(
    q_codes: Array, db_codes: Array, q_others: Array, db_others: Array, bits: int, k: int
) -> np.ndarray:
    """Computes the share of the k nearest items by codes that are among those by other codes.

    The other codes are those of the same items by another encoder, as of the same method fitted to
    other images: what both agree on does not hang on the images of the fit. It is the expectation
    over random orders of items at equal distances, drawn anew for each of the two. So codes that
    leave many items at one distance share little, even with themselves.

    Args:
      q_codes: Packed codes of the queries, uint32 [Q, ceil(bits / 32)].
      db_codes: Packed codes of the database, uint32 [N, ceil(bits / 32)].
      q_others: The other codes of the queries, in the same form.
      db_others: The other codes of the database.
      bits: Code length of all of them.
      k: Number of neighbors, 1 to N.

    Returns:
      float64 [Q], 0 to 1. Codes at random have k / N on average.

    Raises:
      InputError: The arrays do not fit each other, or k is out of range.
    """
    q_codes, db_codes = as_codes("q_codes", q_codes, bits), as_codes("db_codes", db_codes, bits)
    q_others, db_others = (
        as_codes("q_others", q_others, bits),
        as_codes("db_others", db_others, bits),
    )
    k = as_whole("k", k, 1, len(db_codes), "the size of the database")
    for name, others, codes in (
        ("q_others", q_others, q_codes),
        ("db_others", db_others, db_codes),
    ):
        if len(others) != len(codes):
            raise InputError(
                f"{name}: {len(others)} codes given; allowed: {len(codes)}, one per item."
            )
    shared = []
    for start in range(0, len(q_codes), _BLOCK):
        rows = slice(start, start + _BLOCK)
        one_BxN = _chances(q_codes[rows], db_codes, k)
        shared.append((one_BxN * _chances(q_others[rows], db_others, k)).sum(axis=1) / k)
    return np.concatenate(shared) if shared else np.empty(0)


def _chances(q_codes: np.ndarray, db_codes: np.ndarray, k: int) -> np.ndarray:
    """Computes how probably each item is among the k nearest, [B, N]."""
    distances_BxN = _distances(q_codes, db_codes)
    last_Bx1 = np.partition(distances_BxN, k - 1, axis=1)[:, k - 1 : k]
    before_BxN, at_BxN = distances_BxN < last_Bx1, distances_BxN == last_Bx1
    free_Bx1 = k - before_BxN.sum(axis=1, keepdims=True)
    return before_BxN + at_BxN * (free_Bx1 / at_BxN.sum(axis=1, keepdims=True))


def _distances(q_codes: np.ndarray, db_codes: np.ndarray) -> np.ndarray:
    """Computes Hamming distances, int64 [B, N]."""
    return np.bitwise_count(q_codes[:, None] ^ db_codes).sum(axis=2, dtype=np.int64)


def _normalized(features: Array) -> np.ndarray:
    """Divides rows by their lengths; a row of zeros stays."""
    rows = np.asarray(features, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)


def _histograms(distances_BxM: np.ndarray, bits: int) -> np.ndarray:
    """Counts the distances of each row, [B, bits + 1]."""
    shifted = distances_BxM + (bits + 1) * np.arange(len(distances_BxM))[:, None]
    counts = np.bincount(shifted.ravel(), minlength=(bits + 1) * len(distances_BxM))
    return counts.reshape(-1, bits + 1)
