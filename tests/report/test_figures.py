"""The curves that are drawn, against NumPy written out."""

import json
import math
import re

import numpy as np
import pytest

from jhash import retrieval
from jhash.errors import InputError
from jhash.report import curves, figures, plots, tables
from jhash.runs import finished
from tests.support.report import (
    KINDS,
    bits_of,
    copy_run,
    distances_and_relevance,
    expected_average_precision,
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

    for name in ("lines", "points", "histograms"):
        monkeypatch.setattr(plots, name, recorded(getattr(plots, name)))
    return drawings


def expected_mean_rank(distances, relevant, count):
    """The mean rank, over all orders of ties, of the relevant item number `count`."""
    found = before = 0
    for distance in np.unique(distances):
        group = relevant[distances == distance]
        n, p = len(group), group.sum()
        if found + p >= count:
            return before + (count - found) * (n + 1) / (p + 1)
        found, before = found + p, before + n
    raise AssertionError


@pytest.mark.slow
def test_metrics_by_code_length(trained, tmp_path, drawn):
    workdirs = [
        with_random_codes(trained, tmp_path / "long", 0, 13, {"metrics.map_at_percent": 20.0}),
        with_random_codes(trained, tmp_path / "short", 10, 9, {"metrics.map_at_percent": 20.0}),
    ]
    all_measured = measure_runs(*workdirs)
    figures.by_length(all_measured)
    assert len(drawn) == 5
    ratios = re.findall("<td>(.*?)</td>", tables.balance_by_length(all_measured))
    assert ratios[0] == "codes"
    for place, kind in enumerate(KINDS):
        expected = {"MAP": [], "Precision within radius 2": [], "Recall within radius 2": []}
        f_measures, tops = [], []
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
            precision, recall = (values[1].mean(), values[2].mean())
            f_measures.append(2 * precision * recall / (precision + recall))
            searched = [read_codes(run, name) for name in ("queries", KINDS[kind])]
            codes, labels = ([codes[name] for codes in searched] for name in ("codes", "labels"))
            tops.append(retrieval.mean_average_precision(*codes, *labels, bits, at=40))
            ones = bits_of(searched[1]["codes"], bits).sum(axis=0)
            assert float(ratios.pop(1)) == pytest.approx(np.mean(ones / (200 - ones)), abs=5.1e-5)
        expected |= {"F-measure within radius 2": f_measures, "mAP@20 %": tops}
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
        curve = drawn["Precision-recall curve by radius"][place]
        assert curve.label == f"{kind} codes"
        np.testing.assert_allclose(curve.x, recall)
        np.testing.assert_allclose(curve.y, precision)
        np.testing.assert_allclose(drawn["Recall within a radius"][place].y, recall)
        np.testing.assert_allclose(drawn["Precision within a radius"][place].y, precision)
        top = drawn["Precision@N, N up to 1,000"][place]
        assert top.x == [1, 2, 5, 10, 20, 50, 100, 200]
        assert top.y[-1] == pytest.approx(relevant.mean())
        ranking = drawn["Precision-recall curve by ranking"][place]
        assert list(ranking.y) == list(top.y)
        counts = relevant.sum(axis=1)
        found = np.array(top.y) * np.array(top.x) / counts[0]  # All queries have as many.
        assert len(set(counts)) == 1
        np.testing.assert_allclose(ranking.x, found)
        at_recall = drawn["Precision at recall"][place]
        np.testing.assert_allclose(at_recall.x, np.arange(1, 9) / 10)
        for share, value in zip(at_recall.x, at_recall.y, strict=True):
            needed = math.ceil(round(share * counts[0], 9))
            ranks = [
                expected_mean_rank(*row, needed) for row in zip(distances, relevant, strict=True)
            ]
            assert value == pytest.approx(np.mean(needed / np.array(ranks)))
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


def test_validation_has_curves_of_its_own(trained, drawn):
    """A picture per metric, in which the epoch that one of them chose is marked."""
    [run] = finished.read_all([str(trained)])
    per_epoch = run.results["steps"] // run.results["epochs"]
    names = ("map_encoded", "map_learned", "precision_at_1000_encoded", "precision_at_100_encoded",
             "f1_encoded", "recall_radius_2_learned")  # fmt: skip
    run.lines[:] = [
        {"step": epoch * per_epoch, "epoch": epoch, "loss": 1.0 / epoch}
        | {f"validation/{name}": epoch * place / 10 for place, name in enumerate(names, 1)}
        for epoch in (1, 2, 3)
    ]
    run.results["validation"] = {"epoch": 2, "chosen_by": "f1_encoded"}
    measured = curves.measure(run)
    figures.training([measured])
    assert list(drawn) == ["loss"]
    drawn.clear()
    figures.validation([measured])
    assert list(drawn) == [
        f"Validation: {metric}" for metric in ("f1", "map", "precision_at_100", "precision_at_1000")
    ]
    learned, encoded = drawn["Validation: map"]
    assert (learned.label, list(learned.x), list(learned.y)) == (
        "learned codes",
        [1, 2, 3],
        [0.2, 0.4, 0.6],
    )
    assert (encoded.label, list(encoded.y)) == ("encoded codes", [0.1, 0.2, 0.3])
    curve, kept = drawn["Validation: f1"]
    assert (kept.label, kept.x, kept.y) == ("encoded codes: kept", [2], [1.0])
    assert curve.y == [0.5, 1.0, 1.5]
    drawn.clear()
    figures.validation([measured, measured])
    assert len(drawn["Validation: f1, encoded codes"]) == 4
    assert len(drawn["Validation: map, learned codes"]) == 2


def test_a_first_stage_has_curves_of_its_own(trained, tmp_path, drawn):
    run = copy_run(trained, tmp_path / "staged")
    (run / "pretrain" / "embedding").mkdir(parents=True)
    (run / "pretrain" / "features.npy").write_bytes(b"")
    log = run / "pretrain" / "embedding" / "metrics.jsonl"
    log.write_text(
        '{"step": 4, "epoch": 1, "reconstruction_0": 3.0}\n'
        '{"step": 8, "epoch": 2, "second_order": 2.0}\n'
        '{"step": 12, "epoch": 3, "second_order": 1.5}\n'
    )
    constant, _ = figures.before_training(measure_runs(run))
    assert constant == plots.Constant("embedding: reconstruction_0", "3")
    assert {title: (list(line.x), list(line.y)) for title, [line] in drawn.items()} == {
        "embedding: second_order": ([2, 3], [2.0, 1.5]),
    }
    log.write_text("{\n")
    with pytest.raises(InputError, match=r"staged given.*pretrain/embedding/metrics\.jsonl"):
        measure_runs(run)


def test_a_histogram_without_pairs_is_said_to_have_none():
    counts = np.array([0, 3, 1]), np.zeros(3, np.int64)
    labels = "relevant pairs", "other pairs"
    picture = plots.histograms("Distances", counts, labels, "Hamming distance")
    assert "relevant pairs lie 1.25 apart on average; no other pairs." in picture.alt
