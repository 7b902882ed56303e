import itertools
import json
import math

import numpy as np
import pytest
from scipy.stats import hypergeom
from sklearn.metrics import average_precision_score, precision_recall_curve

from jhash import retrieval
from jhash.errors import InputError


def histogram(distances, related, bits):
    total = np.bincount(distances, minlength=bits + 1)
    relevant = np.bincount(distances[related], minlength=bits + 1)
    return total[None], relevant[None]


def ranked_precision(related, at):
    """AP@k of one order, by the definition: mean precision at the relevant ranks up to k."""
    hits = np.flatnonzero(related[:at]) + 1
    return np.mean(np.arange(1, len(hits) + 1) / hits) if len(hits) else 0.0


def orders(distances):
    """Every order of the items in which distances do not fall."""
    groups = [np.flatnonzero(distances == d) for d in np.unique(distances)]
    for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
        yield np.concatenate(parts)


@pytest.mark.parametrize("seed", range(8))
def test_exactly_the_mean_over_all_tie_orders(seed):
    rng = np.random.default_rng(seed)
    n = 7
    distances = rng.integers(0, 3, n)
    related = rng.random(n) < rng.choice([0.1, 0.5, 0.9])
    total, relevant = histogram(distances, related, 2)
    ranked = np.array([related[list(order)] for order in orders(distances)])
    everything = np.mean([ranked_precision(row, n) for row in ranked])
    np.testing.assert_allclose(retrieval.average_precision(total, relevant), everything, 1e-12)
    for k in range(1, n + 1):
        expected = np.mean([ranked_precision(row, k) for row in ranked])
        found = retrieval.average_precision(total, relevant, k)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-15)
        expected = ranked[:, :k].mean()
        np.testing.assert_allclose(retrieval.precision_at(total, relevant, k), expected)
        recall = retrieval.recall_at(total, relevant, k)
        np.testing.assert_allclose(recall, expected * k / max(1, related.sum()))
        np.testing.assert_allclose(retrieval.relevant_at(total, relevant, k), expected * k)


def test_mean_over_random_tie_orders():
    rng = np.random.default_rng(0)
    bits, n, queries, draws = 6, 400, 4, 1500
    distances = rng.integers(0, bits + 1, (queries, n))
    related = rng.random((queries, n)) < 0.3 - 0.04 * distances
    pairs = [histogram(*row, bits) for row in zip(distances, related, strict=True)]
    total, relevant = (np.concatenate(part) for part in zip(*pairs, strict=True))
    for k in (30, 200, n):
        sample = np.zeros((draws, queries))
        for draw in range(draws):
            order = np.argsort(distances + rng.random((queries, n)) * 0.5, axis=1)
            ranked = np.take_along_axis(related, order, 1)
            sample[draw] = [ranked_precision(row, k) for row in ranked]
        error = sample.std(0) / math.sqrt(draws)
        found = retrieval.average_precision(total, relevant, k)
        assert np.all(np.abs(found - sample.mean(0)) < 4.5 * error)


def test_full_ranking_is_at_n():
    rng = np.random.default_rng(1)
    total = np.tile(rng.multinomial(60_000, np.full(13, 1 / 13)), (50, 1))
    relevant = rng.binomial(total, 0.1)
    full = retrieval.average_precision(total, relevant)
    at_n = retrieval.average_precision(total, relevant, 60_000)
    np.testing.assert_allclose(at_n, full, rtol=1e-12)
    # One item fewer cuts the last group, and the cut formula takes over.
    almost = retrieval.average_precision(total, relevant, 59_999)
    np.testing.assert_allclose(almost, full, rtol=1e-3)


def test_cut_of_a_huge_group_against_a_direct_hypergeometric_sum():
    total, relevant = np.array([[100, 59_900]]), np.array([[40, 5_960]])
    k, found = 5_000, 40
    n, p, t = 59_900, 5_960, 4_900
    x = np.arange(0, t + 1)
    ranks = np.arange(1, 101)
    before = np.sum(found / 100 * (1 + (ranks - 1) * (found - 1) / 99) / ranks)
    ranks = np.arange(1, t + 1)
    spread = np.sum(1 / (100 + ranks))
    steps = np.sum((ranks - 1) / (100 + ranks))
    inside = x / t * ((found + 1) * spread + np.maximum(x - 1, 0) / (t - 1) * steps)
    expected = np.sum(hypergeom.pmf(x, n, p, t) * (before + inside) / (found + x))
    np.testing.assert_allclose(retrieval.average_precision(total, relevant, k), expected, 1e-9)


def test_agrees_with_scikit_learn_where_nothing_ties():
    rng = np.random.default_rng(2)
    distances = rng.permutation(300)
    related = rng.random(300) < 0.2
    found = retrieval.average_precision(*histogram(distances, related, 299))
    np.testing.assert_allclose(found, average_precision_score(related, -distances), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("multi", [False, True])
def test_mean_average_precision_end_to_end(multi):
    rng = np.random.default_rng(3)
    bits, queries, n = 20, 6, 500
    q, db = rng.choice([-1, 1], (queries, bits)), rng.choice([-1, 1], (n, bits))
    if multi:
        q_labels, db_labels = rng.random((queries, 5)) < 0.3, rng.random((n, 5)) < 0.3
        q_labels[0] = False
        related = q_labels @ db_labels.T
    else:
        q_labels, db_labels = rng.integers(0, 5, queries), rng.integers(0, 4, n)
        q_labels[0] = 4  # Not in the database.
        related = q_labels[:, None] == db_labels
    distances = (bits - q @ db.T) // 2
    arguments = (retrieval.pack_codes(q), retrieval.pack_codes(db), q_labels, db_labels, bits)
    found = retrieval.mean_average_precision(*arguments)
    # scikit-learn scores ties as one threshold, so compare the mean over broken ties.
    sample = []
    for _ in range(300):
        broken = distances + rng.random(distances.shape) * 0.5
        rows = zip(related, broken, strict=True)
        sample.append([average_precision_score(r, -b) if r.any() else 0.0 for r, b in rows])
    sample = np.mean(sample, axis=1)
    assert abs(found - sample.mean()) < 4.5 * sample.std() / math.sqrt(len(sample))
    total, relevant = retrieval.distance_histograms(*arguments)
    assert retrieval.queries_without_relevant(relevant) >= 1
    at = retrieval.mean_average_precision(*arguments, at=50)
    np.testing.assert_allclose(at, retrieval.average_precision(total, relevant, 50).mean())


@pytest.mark.parametrize("seed", range(8))
def test_precision_at_recall_takes_the_mean_rank_of_all_tie_orders(seed):
    rng = np.random.default_rng(seed)
    n = 7
    distances = rng.integers(0, 3, n)
    related = rng.random(n) < rng.choice([0.2, 0.5, 0.9])
    related[rng.integers(n)] = True
    total, relevant = histogram(distances, related, 2)
    ranks = [np.flatnonzero(related[list(order)]) + 1 for order in orders(distances)]
    for r in range(1, related.sum() + 1):
        rank = np.array([row[r - 1] for row in ranks])
        # A share that r items reach and r - 1 do not, at its upper end and within.
        for share in (r / related.sum(), (r - 0.5) / related.sum()):
            found = retrieval.precision_at_recall(total, relevant, share)
            np.testing.assert_allclose(found, r / rank.mean(), rtol=1e-12)
            assert found <= np.mean(r / rank) + 1e-12


def test_precision_at_recall_of_random_tie_orders():
    """The mean rank itself, and how close the mean of the precisions is in large groups."""
    rng = np.random.default_rng(5)
    bits, n, draws = 4, 3000, 2000
    distances = rng.binomial(bits, 0.4, n)
    related = rng.random(n) < 0.3 - 0.05 * distances
    total, relevant = histogram(distances, related, bits)
    order = np.argsort(distances + rng.random((draws, n)) * 0.5, axis=1)
    ranks = np.nonzero(related[order])[1].reshape(draws, -1) + 1
    for percent in (10, 40, 80):
        r = math.ceil(percent * related.sum() / 100)
        rank = ranks[:, r - 1]
        found = retrieval.precision_at_recall(total, relevant, percent / 100)[0]
        assert abs(r / found - rank.mean()) < 4.5 * rank.std() / math.sqrt(draws)
        assert found == pytest.approx(np.mean(r / rank), rel=0.01)


def test_precision_at_recall_where_nothing_ties():
    rng = np.random.default_rng(6)
    distances = rng.permutation(300)
    related = rng.random(300) < 0.2
    precision, recall, _ = precision_recall_curve(related, -distances)
    for percent in (10, 20, 40, 60, 80, 100):
        share = percent / 100
        found = retrieval.precision_at_recall(*histogram(distances, related, 299), share)
        # The curve runs to falling recalls; the last that is high enough is the first rank.
        expected = precision[np.flatnonzero(recall >= share - 1e-12)[-1]]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_precision_at_recall_by_hand():
    total = np.array([[4, 0, 3, 3], [5, 0, 0, 5], [0, 9, 1, 0]])
    relevant = np.array([[1, 0, 3, 0], [0, 0, 0, 0], [0, 0, 1, 0]])
    # The one of four is at rank 2.5 in the mean, the others at 5, 6, 7; that of the last at 10.
    for share, expected in (
        (1e-12, 1 / 2.5),
        (0.25, 1 / 2.5),
        (0.26, 2 / 5),
        (0.75, 3 / 6),
        (1, 4 / 7),
    ):
        found = retrieval.precision_at_recall(total, relevant, share)
        np.testing.assert_allclose(found, [expected, 0, 0.1])
    # 0.07 * 100 is above 7 in binary: seven items, not eight.
    seven = np.array([[7, 93, 900]]), np.array([[7, 0, 93]])
    np.testing.assert_allclose(retrieval.precision_at_recall(*seven, 0.07), 1)
    assert len(retrieval.precision_at_recall(total[:0], relevant[:0], 0.5)) == 0


def test_lookup_within_a_radius_by_hand():
    total = np.array([[0, 2, 2, 6], [1, 0, 0, 9], [0, 0, 5, 5]])
    relevant = np.array([[0, 1, 2, 1], [1, 0, 0, 3], [0, 0, 0, 0]])
    np.testing.assert_allclose(retrieval.precision_within(total, relevant, 0), [0, 1, 0])
    np.testing.assert_allclose(retrieval.precision_within(total, relevant, 2), [0.75, 1, 0])
    np.testing.assert_allclose(retrieval.recall_within(total, relevant, 2), [0.75, 0.25, 0])
    precision, recall = retrieval.precision_recall_curve(total, relevant)
    np.testing.assert_allclose(precision, [1 / 3, 0.5, 1.75 / 3, 0.8 / 3])
    np.testing.assert_allclose(recall, [0.25 / 3, 0.5 / 3, 1 / 3, 2 / 3])
    np.testing.assert_allclose(retrieval.f_measure([0.5, 0, 1], [0.25, 0, 1]), [1 / 3, 0, 1])


def test_top_percent():
    assert retrieval.top_percent(20, 59_000) == 11_800
    assert retrieval.top_percent(7, 100) == 7  # 0.07 * 100 is above 7 in binary.
    assert retrieval.top_percent(0.1, 3_000) == 3
    assert retrieval.top_percent(10, 101) == 11
    assert retrieval.top_percent(100, 5) == 5
    assert retrieval.top_percent(1e-9, 5) == 1
    assert retrieval.top_percent(50, 0) == 0
    with pytest.raises(InputError, match="percent: 0 given; allowed: more than 0, up to 100"):
        retrieval.top_percent(0, 5)


def test_summary_is_json_with_stable_names():
    rng = np.random.default_rng(4)
    total = np.tile(rng.multinomial(700, np.full(17, 1 / 17)), (5, 1))
    relevant = rng.binomial(total, 0.2)
    relevant[0] = 0
    result = retrieval.summarize(total, relevant, map_at=5000, map_at_percent=20)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    scalars = [name for name in result if not name.startswith("curve_")]
    assert scalars == [
        "map",
        "queries",
        "queries_without_relevant",
        "map_at_700",
        "map_top_20_percent",
        "precision_at_100",
        "recall_at_100",
        "precision_at_500",
        "recall_at_500",
        "precision_at_700",
        "recall_at_700",
        "precision_radius_2",
        "recall_radius_2",
        "f_measure_radius_2",
        *(f"precision_at_recall_{percent}" for percent in range(10, 90, 10)),
        "f1",
    ]
    assert result["queries_without_relevant"] == 1
    assert result["map_at_700"] == pytest.approx(result["map"])
    assert result["recall_at_700"] == pytest.approx(0.8)  # One query of five has nothing to find.
    found = retrieval.precision_at_recall(total, relevant, 0.3)
    assert found[0] == 0
    assert result["precision_at_recall_30"] == pytest.approx(found.mean())
    curve = zip(result["curve_radius_precision"], result["curve_radius_recall"], strict=True)
    assert result["f1"] == pytest.approx(max(2 * p * r / (p + r) for p, r in curve))
    assert len(result["curve_radius_precision"]) == 17
    assert result["curve_top"] == [1, 2, 5, 10, 20, 50, 100, 200, 500, 700]
    assert result["curve_top_recall"][-1] == pytest.approx(0.8)


def test_bad_input():
    total = np.array([[3, 7]])
    for at in (0, 11):
        with pytest.raises(InputError, match=f"^at: {at} given; allowed: 1 to 10, the size"):
            retrieval.average_precision(total, total, at)
        with pytest.raises(InputError, match=f"^n: {at} given; allowed: 1 to 10, the size"):
            retrieval.precision_at(total, total, at)
        with pytest.raises(InputError, match=f"^n: {at} given; allowed: 1 to 10"):
            retrieval.relevant_at(total, total, at)
    with pytest.raises(InputError, match="radius: 2 given; allowed: 0 to 1, the code length"):
        retrieval.precision_within(total, total, 2)
    for recall in (0, 1.01, math.nan):
        with pytest.raises(InputError, match=f"recall: {recall} given; allowed: more than 0, up"):
            retrieval.precision_at_recall(total, total, recall)
    with pytest.raises(InputError, match="total: rows that sum to 9 up to 10 given; allowed"):
        retrieval.average_precision(np.array([[3, 7], [3, 6]]), np.zeros((2, 2), int))
    with pytest.raises(InputError, match=r"relevant: shape \(1, 1\) given, and \(1, 2\) for total"):
        retrieval.average_precision(total, total[:, :1])
    with pytest.raises(InputError, match="total: no queries given; allowed: at least one"):
        retrieval.summarize(np.zeros((0, 3), int), np.zeros((0, 3), int))
    for wrong, message in (
        (np.array([[0, 8]]), "relevant: 8 of 7 items given for query 0 at distance 1; allowed: 0"),
        (np.array([[-1, 0]]), "relevant: -1 of 3 items given for query 0 at distance 0"),
        (np.array([[0.5, 1]]), "relevant: float64 given; allowed: integers"),
    ):
        with pytest.raises(InputError, match=message):
            retrieval.precision_within(total, wrong, 0)
    with pytest.raises(InputError, match=r"relevant: shape \(1, 1\) .*; allowed: \[Q, bits \+ 1\]"):
        retrieval.precision_at_recall(total[:, :1], total[:, :1], 0.5)


CALLS = {
    "average_precision": lambda *counts: retrieval.average_precision(*counts),
    "average_precision at": lambda *counts: retrieval.average_precision(*counts, 1),
    "precision_at": lambda *counts: retrieval.precision_at(*counts, 1),
    "recall_at": lambda *counts: retrieval.recall_at(*counts, 1),
    "precision_at_recall": lambda *counts: retrieval.precision_at_recall(*counts, 0.5),
    "precision_within": lambda *counts: retrieval.precision_within(*counts, 1),
    "recall_within": lambda *counts: retrieval.recall_within(*counts, 1),
}


@pytest.mark.filterwarnings("error")
def test_without_queries_there_is_no_number():
    nothing = np.zeros((0, 3), np.int32)
    for name, call in CALLS.items():
        assert call(nothing, nothing).shape == (0,), name
    np.testing.assert_array_equal(retrieval.precision_recall_curve(nothing, nothing), np.nan)
    codes, labels = retrieval.pack_codes(np.ones((4, 2))), np.arange(4)
    for at in (None, 1):
        found = retrieval.mean_average_precision(codes[:0], codes, labels[:0], labels, 2, at)
        assert math.isnan(found)


@pytest.mark.filterwarnings("error")
def test_in_an_empty_database_there_are_no_ranks():
    empty = np.zeros((2, 3), np.int32)
    for name, call in CALLS.items():
        if name in ("average_precision at", "precision_at", "recall_at"):
            with pytest.raises(InputError, match=r"^total: an empty database given; allowed: one"):
                call(empty, empty)
        else:
            np.testing.assert_array_equal(call(empty, empty), [0, 0], name)
    with pytest.raises(InputError, match=r"^total: an empty database given; allowed: one item"):
        retrieval.summarize(empty, empty)


@pytest.mark.parametrize("share", ["none", "all", "some"])
@pytest.mark.parametrize("distances", [[1] * 9, [0] * 4 + [3] * 5, list(range(9)), [2]])
def test_degenerate_rankings_are_those_of_all_orders(distances, share):
    """Ties everywhere, nowhere, a single item; everything, nothing or something is relevant."""
    distances, n = np.array(distances), len(distances)
    related = np.full(n, share == "all")
    if share == "some":
        related[::2] = True
    total, relevant = histogram(distances, related, 9)
    rng = np.random.default_rng(0)
    # All orders if they are few, and else so many that the mean is that of all within 5 errors.
    few = math.prod(math.factorial(count) for count in np.bincount(distances)) < 5000
    drawn = [np.argsort(distances + 0.5 * rng.random(n)) for _ in range(4000)]
    ranked = related[np.array(list(orders(distances)) if few else drawn)]

    def check(found, values):
        error = 0 if few else 5 * np.std(values) / math.sqrt(len(values))
        assert abs(found[0] - np.mean(values)) <= error + 1e-12
        assert 0 <= found[0] <= 1

    for k in (1, n):
        check(
            retrieval.average_precision(total, relevant, k),
            [ranked_precision(r, k) for r in ranked],
        )
        check(retrieval.precision_at(total, relevant, k), ranked[:, :k].mean(1))
        recall = ranked[:, :k].sum(1) / max(1, related.sum())
        check(retrieval.recall_at(total, relevant, k), recall)
    summary = retrieval.summarize(total, relevant, map_at=10**6, precision_ranks=(10**6,))
    assert summary[f"map_at_{n}"] == pytest.approx(summary["map"], abs=1e-12)
    if share == "all":
        assert summary["map"] == pytest.approx(1, abs=1e-12)
        assert summary[f"precision_at_{n}"] == summary["f1"] == 1
    elif share == "none":
        assert summary["map"] == summary[f"precision_at_{n}"] == summary["f1"] == 0
    else:
        assert summary[f"precision_at_{n}"] == pytest.approx(related.mean())
        if few and len(set(distances.tolist())) == n > 1:
            expected = average_precision_score(related, -distances)
            assert summary["map"] == pytest.approx(expected, abs=1e-12)


def test_rounding_makes_no_number_larger_than_1():
    rng = np.random.default_rng(0)
    for _ in range(200):
        total = rng.integers(0, 50, (1, 12))
        for at in (None, *rng.integers(1, total.sum(), 3).tolist()):
            assert retrieval.average_precision(total, total, at) <= 1
            assert at is None or retrieval.precision_at(total, total, at) <= 1
