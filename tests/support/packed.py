"""Packed codes for tests, and what a search must find in them."""

import numpy as np


def random_codes(n, bits, seed=0):
    """Packed codes, of which about a third are repeated."""
    rng = np.random.default_rng(seed)
    packed = np.packbits(rng.integers(0, 2, (n, bits), np.uint8), axis=1, bitorder="little")
    padded = np.zeros((n, -(-bits // 32) * 4), np.uint8)
    padded[:, : packed.shape[1]] = packed
    padded[2 * n // 3 :] = padded[: n - 2 * n // 3]
    return padded.view(np.uint32)


def all_distances(queries, database):
    return np.bitwise_count(queries[:, None] ^ database).sum(axis=2, dtype=np.int32)


def assert_nearest(found, queries, database, k, live=None):
    """Checks a search against all distances, sorted by (distance, position)."""
    distances = all_distances(queries, database)
    if live is not None:
        # With fewer than k live codes, distances beyond those that codes can have follow.
        distances[:, ~live] = 32 * database.shape[1] + 1
        sure = min(k, live.sum())
    else:
        sure = k
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    near, positions = found
    assert near.dtype == positions.dtype == np.int32
    assert near.shape == positions.shape == (len(queries), k)
    np.testing.assert_array_equal(near, np.take_along_axis(distances, order, 1))
    np.testing.assert_array_equal(positions[:, :sure], order[:, :sure])
