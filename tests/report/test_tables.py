"""The tables of the page, against NumPy written out."""

import json
import platform
import re

import numpy as np
import pytest

from jhash.report import summary, tables
from tests.support.report import (
    KINDS,
    bits_of,
    copy_run,
    distances_and_relevance,
    expected_average_precision,
    measure_runs,
    read_codes,
)

# Images by the name of their file of codes.
SIZES = {"queries": 40, "database": 200, "database_learned": 200}

pytestmark = pytest.mark.usefixtures("quick_compilation")


def expected_hits(distances, relevant, n):
    """Relevant items among the first n: of a distance that n cuts, its mean share counts."""
    hits = 0.0
    for distance in np.unique(distances):
        group = relevant[distances == distance]
        hits += group.mean() * min(n, len(group))
        n -= min(n, len(group))
    return hits


def test_the_numbers_are_those_of_the_codes(trained, page):
    results = json.loads((trained / "results.json").read_text())
    assert page.row("database codes") == ["learned", "encoded"]
    for column, kind in enumerate(KINDS):
        distances, relevant = distances_and_relevance(trained, kind)
        near = distances <= 2
        found = (near & relevant).sum(axis=1)
        expected = {
            "precision_radius_2": found / np.maximum(1, near.sum(axis=1)),
            "recall_radius_2": found / relevant.sum(axis=1),
            "precision_at_10": [
                expected_hits(*pair, 10) / 10 for pair in zip(distances, relevant, strict=True)
            ],
        }
        for name, values in expected.items():
            shown = float(page.row(name)[column])
            assert shown == pytest.approx(np.mean(values), abs=5.1e-5), (kind, name)
        assert float(page.row("map")[column]) == round(results[f"map_{kind}"], 4)
        # Ten queries of each of four classes: the average per category is that over the queries.
        assert results[kind]["per_category_map"] == pytest.approx(results[f"map_{kind}"])
        codes = read_codes(trained, KINDS[kind])["codes"]
        ones = bits_of(codes, 12).sum(axis=0)
        distinct, *ratios = page.row(f"database, {kind}")
        assert int(distinct) == len({tuple(code) for code in codes.tolist()})
        ordered = sorted(ones / (200 - ones))
        median = (ordered[5] + ordered[6]) / 2
        expected = np.mean(ordered), ordered[0], median, ordered[11]
        np.testing.assert_allclose([float(ratio) for ratio in ratios], expected, atol=5.1e-5)
    assert "Averages per category" not in page.text
    assert page.row("epochs") == ["3 of 3"]
    assert page.row("device") == [f"{summary.device(results['device'])} ({platform.machine()})"]
    assert page.row("validation") == ["none"]
    assert page.row("git revision") == [results["git_revision"] or "–"]
    assert not page.warnings


@pytest.mark.parametrize(
    ("always", "shown"),
    [
        (1, ["∞", "0.0000", "1.0000", "∞"]),
        (6, ["∞", "0.0000", "∞", "∞"]),
        (12, ["∞", "∞", "∞", "∞"]),
    ],
)
def test_ratios_may_be_infinite(trained, tmp_path, always, shown):
    """Of 12 bits some are always set, one never (if any is left), the others in half the codes."""
    ones = np.zeros((200, 12), np.uint32)
    ones[100:] = 1
    ones[:, :always] = 1
    ones[:, 11] = always == 12
    codes = (ones << np.arange(12, dtype=np.uint32)).sum(axis=1, keepdims=True).astype(np.uint32)
    run = copy_run(trained, tmp_path / "ratios", {"database": {"codes": codes}})
    [measured] = measure_runs(run)
    [row] = re.findall("<tr><th[^>]*>database, encoded</th>.*?</tr>", tables.balance(measured))
    assert re.findall("<td>(.*?)</td>", row)[1:] == shown


def test_averages_per_category(trained, tmp_path):
    """Of images with several labels, against loops over categories and queries."""
    rng = np.random.default_rng(0)
    labels = {name: rng.random((count, 3)) < 0.5 for name, count in SIZES.items()}
    labels["queries"][0] = False
    codes = {name: {"labels": rows.astype(np.uint8)} for name, rows in labels.items()}
    run = copy_run(trained, tmp_path / "several", codes)
    distances, shared = distances_and_relevance(run, "encoded")
    any_label, that_label = [], []
    for category in range(3):
        members = np.flatnonzero(labels["queries"][:, category])
        own = labels["database"][:, category]
        for averages, relevant in (
            (any_label, [shared[query] for query in members]),
            (that_label, [own] * len(members)),
        ):
            rows = zip(distances[members], relevant, strict=True)
            averages.append(np.mean([expected_average_precision(*row) for row in rows]))
    found = {
        name: float(value)
        for name, value in re.findall(
            ">map, (.*?)</th><td>.*?</td><td>(.*?)</td>", tables.categories(measure_runs(run))
        )
    }
    everything = zip(distances, shared, strict=True)
    expected = {
        "per query": np.mean([expected_average_precision(*row) for row in everything]),
        "per category": np.mean(any_label),
        "within category": np.mean(that_label),
    }
    assert found == pytest.approx(expected, abs=5.1e-5)
    assert len(set(found.values())) == 3


def test_validation_says_what_chose_what(trained, tmp_path):
    found = {
        "metrics": {"map_encoded": 0.25, "map_learned": 0.5},
        "size": 1200,
        "epoch": 2,
        "chosen_by": "map_learned",
        "stopped_early": True,
    }
    run = copy_run(trained, tmp_path / "chosen", validation=found)
    [measured] = measure_runs(run)
    words = "1,200 images; map_learned chose epoch 2, and stopped the training"
    assert f">{words}<" in tables.facts([measured.run])
    rows = re.findall("<tr><th.*?>(.*?)</th><td>(.*?)</td>", tables.validation([measured.run]))
    assert [(name.replace("<wbr>", ""), value) for name, value in rows] == [
        ("map_encoded", "0.2500"),
        ("map_learned", "0.5000"),
    ]
    run = copy_run(trained, tmp_path / "last", validation=found | {"chosen_by": None})
    [measured] = measure_runs(run)
    assert "1,200 images; they chose no epoch, and stopped" in tables.facts([measured.run])
