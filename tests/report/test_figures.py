"""The curves that are drawn, against NumPy written out."""

import json

import numpy as np
import pytest

from jhash.report import curves, figures, plots
from jhash.runs import finished
from tests.support.report import (
    KINDS,
    bits_of,
    distances_and_relevance,
    measure_runs,
    read_codes,
    with_random_codes,
    write_page,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def drawn(monkeypatch):
    """Everything drawn from now on: title -> the lines, or the counts of a histogram."""
    drawings = {}

    def recorded(draw):
        def record(title, values, *args, **axes):
            drawings[title] = values
            return draw(title, values, *args, **axes)

        return record

    for name in ("lines", "points", "two_histograms"):
        monkeypatch.setattr(plots, name, recorded(getattr(plots, name)))
    return drawings


def expected_average_precision(distances, relevant):
    """The mean over all orders of ties, rank by rank."""
    found = before = summed = 0
    for distance in np.unique(distances):
        group = relevant[distances == distance]
        n, p = len(group), group.sum()
        for rank in range(n):  # With p / n relevant; then so are these many of those before it.
            others = rank * (p - 1) / (n - 1) if n > 1 else 0
            summed += p / n * (found + others + 1) / (before + rank + 1)
        found, before = found + p, before + n
    return summed / found


@pytest.mark.slow
def test_metrics_by_code_length(trained, tmp_path, drawn):
    workdirs = [
        with_random_codes(trained, tmp_path / "long", 0, 13),
        with_random_codes(trained, tmp_path / "short", 10, 9),
    ]
    figures.by_length(measure_runs(*workdirs))
    assert len(drawn) == 3
    for place, kind in enumerate(KINDS):
        expected = {"MAP": [], "Precision within radius 2": [], "Recall within radius 2": []}
        for run, bits in ((workdirs[1], 9), (workdirs[0], 13)):
            distances, relevant = distances_and_relevance(run, kind, bits)
            near = distances <= 2
            found = (near & relevant).sum(axis=1)
            values = (
                [expected_average_precision(*row) for row in zip(distances, relevant, strict=True)],
                found / np.maximum(1, near.sum(axis=1)),
                found / relevant.sum(axis=1),
            )
            for row, value in zip(expected.values(), values, strict=True):
                row.append(np.mean(value))
        for title, values in expected.items():
            line = drawn[f"{title} by code length"][place]
            assert line.label == f"{kind} codes"
            assert line.x == [9, 13]
            np.testing.assert_allclose(line.y, values)


def test_bits_and_distances_are_those_of_the_codes(trained, tmp_path, drawn):
    run = with_random_codes(trained, tmp_path / "noise", 20, 12)
    [measured] = measure_runs(run)
    figures.balance(measured)
    files = {"queries": "queries"} | {f"database, {kind}": KINDS[kind] for kind in KINDS}
    series = drawn["Bit balance, noise"]
    assert [line.label for line in series] == list(files)
    for line, file in zip(series, files.values(), strict=True):
        assert list(line.x) == list(range(12))
        np.testing.assert_allclose(line.y, bits_of(read_codes(run, file)["codes"], 12).mean(axis=0))
    for kind, picture in zip(KINDS, figures.distances(measured), strict=True):
        distances, relevant = distances_and_relevance(run, kind)
        pairs = distances[relevant], distances[~relevant]
        counts = drawn[f"Distances, noise, {kind} codes"]
        for count, values in zip(counts, pairs, strict=True):
            np.testing.assert_array_equal(count, np.bincount(values, minlength=13))
        near, far = (f"{values.mean():.3g}" for values in pairs)
        assert picture.alt.endswith(
            f"relevant pairs lie {near} apart on average; other pairs lie {far} apart on average."
        )


def test_curves_are_those_of_the_codes(trained, tmp_path, drawn):
    write_page(tmp_path, trained)
    for place, kind in enumerate(KINDS):
        distances, relevant = distances_and_relevance(trained, kind)
        near = distances[..., None] <= np.arange(13)
        found = (near & relevant[..., None]).sum(axis=1)
        recall = (found / relevant.sum(axis=1, keepdims=True)).mean(axis=0)
        precision = (found / np.maximum(1, near.sum(axis=1))).mean(axis=0)
        curve = drawn["Precision-recall curve"][place]
        assert curve.label == f"{kind} codes"
        np.testing.assert_allclose(curve.x, recall)
        np.testing.assert_allclose(curve.y, precision)
        np.testing.assert_allclose(drawn["Recall within a radius"][place].y, recall)
        np.testing.assert_allclose(drawn["Precision within a radius"][place].y, precision)
        top = drawn["Precision@N, N up to 1,000"][place]
        assert top.x == [1, 2, 5, 10, 20, 50, 100, 200]
        assert top.y[-1] == pytest.approx(relevant.mean())
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    steps = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    assert list(zip(drawn["loss"][0].x, drawn["loss"][0].y, strict=True)) == steps
    assert list(drawn["bit_error_rate"][0].x) == [1, 2, 3]


def test_long_training_curves_are_averaged(trained, monkeypatch):
    drawn = {}
    monkeypatch.setattr(plots, "lines", lambda title, curves, *_: drawn.update({title: curves}))
    [run] = finished.read_all([str(trained)])
    per_epoch = run.results["steps"] // run.results["epochs"]
    run.lines[:] = [
        {"step": step, "epoch": (step - 1) // per_epoch, "loss": float(step)}
        for step in range(1, 901)
    ]
    measured = curves.measure(run)
    figures.training([measured])
    [line] = drawn["loss"]
    np.testing.assert_allclose(line.x, np.arange(2, 901, 3))
    np.testing.assert_allclose(line.y, np.arange(2, 901, 3))


def test_a_histogram_without_pairs_is_said_to_have_none():
    counts = np.array([0, 3, 1]), np.zeros(3, np.int64)
    labels = "relevant pairs", "other pairs"
    picture = plots.two_histograms("Distances", counts, labels, "Hamming distance")
    assert "relevant pairs lie 1.25 apart on average; no other pairs." in picture.alt
