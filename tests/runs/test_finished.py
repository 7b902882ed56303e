"""Finished runs, read back: what is damaged or missing is named."""

import json

import numpy as np
import pytest

from jhash.errors import InputError
from jhash.runs import finished
from tests.support.report import DAMAGES, broken, copy_run


@pytest.mark.parametrize(("name", "content", "message"), DAMAGES)
def test_damaged_runs_are_named(trained, tmp_path, name, content, message):
    run = broken(trained, tmp_path, name, content)
    with pytest.raises(InputError, match=message):
        finished.read_all([str(trained), str(run)])


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ({"labels": np.zeros(40)}, r"broken/codes/queries\.npz: labels: float64\[40\] given"),
        ({"labels": np.zeros((40, 1, 1), int)}, r"broken/.*labels: int64\[40, 1, 1\] given"),
        ({"ids": np.full(40, "a")}, r"broken/.*ids: <U1\[40\] given; allowed: integers, \[N\]\."),
        ({"ids": np.zeros((40, 2), int)}, r"broken/.*ids: int64\[40, 2\] given"),
        ({"codes": np.full((40, 1), 1 << 12, np.uint32)}, "broken/.*bits set beyond the 12"),
    ],
)
def test_bad_codes_name_the_run(trained, tmp_path, codes, message):
    run = copy_run(trained, tmp_path / "broken", {"queries": codes})
    with pytest.raises(InputError, match=message):
        finished.read_all([str(run)])


def test_codes_of_another_length_are_refused(trained, tmp_path):
    run = copy_run(trained, tmp_path / "other", {"queries": {"bits": 11}})
    with pytest.raises(InputError, match=r"queries\.npz: 40 codes of 11 bits"):
        finished.read_all([str(run)])


def test_results_of_another_evaluation_are_refused(trained, tmp_path):
    """An evaluation that is killed has written new codes beside the old results."""
    run = copy_run(trained, tmp_path / "mixed", network="f" * 64)
    message = r"mixed given, .*: codes/ are of another evaluation than results\.json; .*--mode=eval"
    with pytest.raises(InputError, match=message):
        finished.read_all([str(run)])
    # Results of older versions do not say.
    path = run / "results.json"
    results = json.loads(path.read_text())
    assert len(results.pop("network")) == 64
    path.write_text(json.dumps(results))
    finished.read_all([str(run)])


def test_a_run_may_have_no_metrics_or_an_unfinished_line(trained, tmp_path):
    [run] = finished.read_all([str(broken(trained, tmp_path / "a", "metrics.jsonl", None))])
    assert run.lines == []
    cut = broken(trained, tmp_path / "b", "metrics.jsonl", lambda old: old[:-5])
    whole, [run] = finished.read_all([str(trained)])[0].lines, finished.read_all([str(cut)])
    assert run.lines == whole[:-1]
