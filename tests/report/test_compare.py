"""Runs side by side: differences of configs, and warnings."""

import re

import numpy as np
import pytest

from tests.support.report import KINDS, copy_run, read_codes, write_page

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.slow
def test_runs_side_by_side(trained, tmp_path):
    """A longer code whose last bit is set in every code, and another seed of the first."""
    wider = {}
    for name in ("queries", *KINDS.values()):
        codes = read_codes(trained, name)["codes"] | np.uint32(1 << 12)
        wider[name] = {"codes": codes, "bits": 13}
    long = copy_run(trained, tmp_path / "long", wider, {"bits": 13}, bits=13)
    other = copy_run(trained, tmp_path / "b" / "run", config={"seed": 7}, seed=7)
    page = write_page(tmp_path, trained, long, other)
    first, last = f"{trained.parent.name}/run", "b/run"
    assert page.row("field of the config") == [first, f"{long.parent.name}/long", last]
    differing = [cells for cells in page.rows if cells[0] in ("bits", "seed", "epochs")]
    assert ["bits", "12", "13", "12"] in differing
    assert ["seed", "0", "0", "7"] in differing
    assert len(page.row("map")) == 6
    most = [cells[-1] for cells in page.rows if cells[0] == "queries" and len(cells) == 6]
    assert "∞" in most
    assert len(most) == 3
    alts = {image["alt"].partition(". ")[0]: image["alt"] for image in page.images}
    families = alts["Precision within radius 2 by code length"]
    assert f"learned codes: {first}, {long.parent.name}/long: " in families
    assert f"encoded codes: {last}: " in families
    assert "Precision-recall curve by radius, learned codes" in alts
    assert "Precision-recall curve by ranking, encoded codes" in alts
    assert not page.warnings


def test_runs_of_other_data_are_not_comparable(trained, tmp_path):
    labels = read_codes(trained, "queries")["labels"].copy()
    labels[5] = 3 - labels[5]
    other = copy_run(trained, tmp_path / "other", {"queries": {"labels": labels}})
    page = write_page(tmp_path, trained, other)
    assert any(words.startswith("⚠ Not comparable: other and run") for words in page.warnings)


@pytest.mark.slow
def test_an_unfinished_run_says_so(trained, tmp_path):
    """It has validation, and its method a first stage, both of which the page shows."""
    validation = {"metrics": {"map_encoded": 0.5}, "size": 7, "epoch": 3, "chosen_by": None}
    validation["stopped_early"] = False
    run = copy_run(trained, tmp_path / "half", epochs_planned=9, validation=validation)
    (run / "pretrain" / "embedding").mkdir(parents=True)
    for folder in (run, run / "pretrain" / "embedding"):
        line = '{"step": 1, "epoch": 1, "second_order": 2.0, "validation/map_encoded": 0.25}\n'
        (folder / "metrics.jsonl").write_text(line)
    page = write_page(tmp_path, run)
    assert "half is not trained to its end" in page.warnings[0]
    assert page.row("epochs") == ["3 of 9"]
    assert page.row("map_encoded") == ["0.5000"]
    assert re.search("Constant, so not drawn: embedding: second_order 2", page.text)
    assert re.search("Constant, so not drawn: Validation: map 0.25", page.text)
