"""Averages per category, against the definitions written out as loops in float64."""

import math

import numpy as np
import pytest

from jhash import retrieval
from jhash.errors import InputError

BITS, ITEMS, QUERIES, CLASSES = 64, 40, 12, 5
OPTIONS = {"map_at": 9, "map_at_percent": 20.0, "precision_ranks": (10,)}
# Rank of the last item that counts, by name.
LAST = {"map": ITEMS, "map_at_9": 9, "map_top_20_percent": 8}


def problem():
    """Codes at which nothing ties, and labels of which some queries and one class have none."""
    rng = np.random.default_rng(0)
    database = np.arange(BITS) < rng.permutation(ITEMS)[:, None]
    queries = np.tile(np.arange(QUERIES)[:, None] % 2, BITS)  # All bits are 0, or all are 1.
    distances = (queries[:, None] != database).sum(2)
    q_labels = (rng.random((QUERIES, CLASSES)) < 0.4).astype(np.uint8)
    q_labels[3] = 0
    q_labels[:, 2] = 0
    db_labels = (rng.random((ITEMS, CLASSES)) < 0.3).astype(np.uint8)
    return queries, database, distances, q_labels, db_labels


def average_precision(related, last):
    hits, summed = 0, 0.0
    for rank, right in enumerate(related[:last], 1):
        if right:
            hits += 1
            summed += hits / rank
    return summed / hits if hits else 0.0


def precision_at_recall(related, percent):
    needed, hits = max(1, math.ceil(round(percent * sum(related) / 100, 9))), 0
    for rank, right in enumerate(related, 1):
        hits += bool(right)
        if hits == needed:
            return hits / rank
    return 0.0


def metrics_of(related):
    """All metrics of one query, from the relevance of the items in the order of their distance."""
    values = {name: average_precision(related, last) for name, last in LAST.items()}
    values["precision_at_10"] = sum(related[:10]) / 10
    for percent in range(10, 90, 10):
        values[f"precision_at_recall_{percent}"] = precision_at_recall(related, percent)
    return values


def mean_of_means(rows_by_category):
    """{name: value} rows of each category -> the mean of the categories' means, by name."""
    names = rows_by_category[0][0]
    means = []
    for rows in rows_by_category:
        means.append({n: math.fsum(row[n] for row in rows) / len(rows) for n in names})
    return {n: math.fsum(mean[n] for mean in means) / len(means) for n in names}


def test_both_averages_of_several_labels_are_those_of_the_loops():
    queries, database, distances, q_labels, db_labels = problem()
    any_shared, same_category, per_query = [], [], []
    for query in range(QUERIES):
        own = set(np.flatnonzero(q_labels[query]))
        shared = [bool(own & set(np.flatnonzero(row))) for row in db_labels]
        per_query.append(metrics_of([shared[i] for i in np.argsort(distances[query])]))
    for category in range(CLASSES):
        members = [query for query in range(QUERIES) if q_labels[query, category]]
        if not members:
            continue
        any_shared.append([per_query[query] for query in members])
        orders = [np.argsort(distances[query]) for query in members]
        same_category.append([metrics_of(db_labels[order, category].tolist()) for order in orders])
    packed = retrieval.pack_codes(queries), retrieval.pack_codes(database)
    searched = *packed, q_labels, db_labels, BITS
    histograms = retrieval.distance_histograms(*searched)
    found = retrieval.summarize(*histograms, **OPTIONS, q_labels=q_labels)
    within = retrieval.summarize_within_categories(*searched, **OPTIONS)
    expected = mean_of_means(any_shared), mean_of_means(same_category), mean_of_means([per_query])
    assert {f"within_category_{name}" for name in expected[1]} == set(within)
    for name in expected[0]:
        assert found[f"per_category_{name}"] == pytest.approx(expected[0][name], rel=1e-12)
        assert within[f"within_category_{name}"] == pytest.approx(expected[1][name], rel=1e-12)
        assert found[name] == pytest.approx(expected[2][name], rel=1e-12)
    # The three are different numbers, or the comparisons above would say little.
    assert len({round(values["map_top_20_percent"], 3) for values in expected}) == 3
    without = retrieval.summarize(*histograms, **OPTIONS)
    assert without == {n: value for n, value in found.items() if not n.startswith("per_category")}


def test_class_ids_need_not_be_balanced_or_follow_one_another():
    values, labels = np.array([0.25, 0.5, 1.0, 0.75]), np.array([7, -3, 7, 7])
    assert retrieval.category_mean(values, labels) == (0.5 + 2 / 3) / 2
    codes = retrieval.pack_codes(np.eye(4) - 0.5)
    assert retrieval.summarize_within_categories(codes, codes, labels, labels, 4) == {}


def test_without_any_label_there_is_no_average_per_category():
    """It would be NaN, which results.json cannot hold."""
    codes = retrieval.pack_codes(np.eye(4) - 0.5)
    labels = np.zeros((4, 3), np.uint8)
    total = np.tile([1, 0, 3, 0, 0], (4, 1))
    assert not any("category" in n for n in retrieval.summarize(total, 0 * total, q_labels=labels))
    assert retrieval.summarize_within_categories(codes, codes, labels, labels, 4) == {}
    assert math.isnan(retrieval.category_mean(np.ones(4), labels))


def test_labels_that_do_not_fit_are_named():
    with pytest.raises(InputError, match=r"^q_labels: shape \(3,\) given; allowed: .*where Q = 4"):
        retrieval.category_mean(np.ones(4), np.zeros(3, int))
    codes = retrieval.pack_codes(np.ones((4, 2)))
    with pytest.raises(InputError, match=r"^q_labels: shape \(4,\) given; allowed: 0/1 \[Q, C\]"):
        retrieval.category_histograms(codes, codes, np.zeros(4, int), np.zeros(4, int), 2)
