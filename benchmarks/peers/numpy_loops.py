"""NumPy loops over the queries that compute average precision: peers of `evaluation_speed.py`."""

import numpy as np


def ordered_precision(order, related):
    """Computes the average precision of an order, given which items are relevant."""
    ranks = np.flatnonzero(related[order]) + 1
    return np.mean(np.arange(1, len(ranks) + 1) / ranks) if len(ranks) else 0.0


def usual_loop(queries, database, q_labels, db_labels):
    """Computes average precision from codes of -1 and 1, float32 [Q, bits] and [N, bits]."""
    bits = database.shape[1]
    scores = []
    for query, label in zip(queries, q_labels, strict=True):
        distances = 0.5 * (bits - database @ query)
        scores.append(ordered_precision(np.argsort(distances), db_labels == label))
    return scores


def tuned_loop(queries, database, q_labels, db_labels):
    """Computes average precision from 64-bit words, uint64 [Q] and [N]."""
    scores = []
    for query, label in zip(queries, q_labels, strict=True):
        distances = np.bitwise_count(database ^ query)
        order = np.argsort(distances, kind="stable")
        scores.append(ordered_precision(order, db_labels == label))
    return scores


def words64(on):
    """Packs bits, 0 or 1 [N, up to 64], into words, uint64 [N]."""
    return (on.astype(np.uint64) << np.arange(on.shape[1], dtype=np.uint64)).sum(axis=1)


def check(distances, related, bits, average_precision):
    """Compares the average precision of a query with the expectation, written out rank by rank."""
    expected, before, relevant_before = 0.0, 0, 0
    for distance in range(bits + 1):
        group = distances == distance
        n, p = int(group.sum()), int(related[group].sum())
        rank = np.arange(1, n + 1)
        share = (p - 1) / (n - 1) if n > 1 else 0.0
        if p:
            expected += p / n * np.sum((relevant_before + 1 + (rank - 1) * share) / (before + rank))
        before += n
        relevant_before += p
    np.testing.assert_allclose(average_precision, expected / max(1, relevant_before), rtol=1e-9)
