"""Retrieved images of runs without labels, and the names of files."""

import dataclasses
import types

import numpy as np
import pytest

from jhash.report import curves, grid, page, retrieved
from jhash.runs import finished
from tests.support import tiny
from tests.support.report import Page

pytestmark = pytest.mark.usefixtures("quick_compilation")


def unlabeled(trained):
    """A run as an evaluation without labels leaves it: other metrics, and codes without labels."""
    [run] = finished.read_all([str(trained)])
    metrics = {
        "ones_to_zeros": [1.0] * 12,
        "distinct_codes": 7,
        "neighbors_kept_10": 0.625,
        "neighbors_by": "<f>",
    }
    results = {name: value for name, value in run.results.items() if not name.startswith("map_")}
    databases = {kind: codes._replace(labels=None) for kind, codes in run.databases.items()}
    return dataclasses.replace(
        run,
        results=results | dict.fromkeys(databases, metrics),
        queries=run.queries._replace(labels=None),
        databases=databases,
    )


def source_of_files():
    """Images whose files are known, and that have no labels."""
    images = tiny.source().images
    return types.SimpleNamespace(
        images=images, paths=[f"/photos/cats/<{n}>.png" for n in range(240)]
    )


def test_without_labels_nothing_is_right_or_wrong(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "open_source", lambda run: source_of_files())
    content, missing = page.render([curves.measure(unlabeled(trained))])
    assert not missing
    (tmp_path / "page.html").write_text(content)
    shown = Page(tmp_path / "page.html")
    for mark in ("✓", "✗", "right", "wrong", "MAP", "AP ", "relevant pairs", "Precision"):
        assert mark not in shown.text.partition("</style>")[2], mark
    assert "<dt>Kept of the 10 nearest</dt><dd><b>0.6250</b>learned codes</dd>" in shown.text
    assert "features by &lt;f&gt;." in shown.text
    assert shown.row("distinct_codes") == ["7", "7"]
    assert [len(rows) for _, rows in shown.grids] == [5, 5, 10]
    assert shown.grids[0][0] == "Learned database codes, queries, evenly spaced"
    for (image, mark, caption), *hits in shown.grids[0][1]:
        index = int(image["alt"].split()[1].rstrip(","))
        assert (mark, caption) == (None, f"<{index}>.png")
        assert image["alt"] == f"query {index}, cats/<{index}>.png"
        assert all(not mark and caption.startswith("d ") for _, mark, caption in hits)
    alts = [image["alt"] for image in shown.images if image["alt"].startswith("Distances")]
    assert len(alts) == 2
    assert all("all pairs lie" in alt for alt in alts)


def test_queries_are_spread_evenly(trained):
    [run] = finished.read_all([str(trained)])
    places = grid.spread(run.queries)
    assert (len(places), places[0], places[-1]) == (10, 0, 39)
    assert set(np.diff(places)) <= {4, 5}


def test_of_several_runs_few_queries_are_shown_at_once(trained):
    [run] = finished.read_all([str(trained)])
    measured = curves.measure(run)
    with_images = source_of_files()
    with_images.labels, with_images.class_names = tiny.source().labels, list("abcd")
    rows = grid.rows(run, "learned", measured.rankings["learned"], list(range(7)), with_images)
    html = "".join(retrieved._shown([retrieved._Grid("All", rows)], "one", 3))
    open_part, folded = html.split("<details>")
    assert open_part.count('class="row"') == 3
    assert folded.count('class="row"') == 4
    assert "<strong>a, &lt;200&gt;.<wbr>png</strong>" in open_part
