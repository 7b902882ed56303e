"""The tables of the page, against NumPy written out."""

import json
import re

import numpy as np
import pytest

from jhash.report import tables
from tests.support.report import (
    KINDS,
    bits_of,
    copy_run,
    distances_and_relevance,
    measure_runs,
    read_codes,
)

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
        codes = read_codes(trained, KINDS[kind])["codes"]
        ones = bits_of(codes, 12).sum(axis=0)
        distinct, *ratios = page.row(f"run, database, {kind}")
        assert int(distinct) == len({tuple(code) for code in codes.tolist()})
        ordered = sorted(ones / (200 - ones))
        expected = ordered[0], (ordered[5] + ordered[6]) / 2, ordered[11]
        np.testing.assert_allclose([float(ratio) for ratio in ratios], expected, atol=5.1e-5)
    assert page.row("epochs") == ["3 of 3"]
    assert page.row("git revision") == [results["git_revision"] or "–"]
    assert not page.warnings


@pytest.mark.parametrize(
    ("always", "shown"),
    [(1, ["0.0000", "1.0000", "∞"]), (6, ["0.0000", "∞", "∞"]), (12, ["∞", "∞", "∞"])],
)
def test_ratios_may_be_infinite(trained, tmp_path, always, shown):
    """Of 12 bits some are always set, one never (if any is left), the others in half the codes."""
    ones = np.zeros((200, 12), np.uint32)
    ones[100:] = 1
    ones[:, :always] = 1
    ones[:, 11] = always == 12
    codes = (ones << np.arange(12, dtype=np.uint32)).sum(axis=1, keepdims=True).astype(np.uint32)
    run = copy_run(trained, tmp_path / "ratios", {"database": {"codes": codes}})
    [row] = re.findall(
        "<tr><th[^>]*>ratios, database, encoded</th>.*?</tr>", tables.balance(measure_runs(run))
    )
    assert re.findall("<td>(.*?)</td>", row)[1:] == shown
