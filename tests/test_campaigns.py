"""The campaigns' frame, and the short versions of what they do for hours."""

import json
import random
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "campaigns"


@pytest.fixture(autouse=True)
def campaigns(monkeypatch):
    """The scripts import each other by name."""
    monkeypatch.syspath_prepend(FOLDER)


def run(tmp_path, trial, *arguments):
    import frame

    with pytest.raises(SystemExit) as end:
        frame.main(
            "toy",
            "A campaign.",
            [("even", 0), ("odd", 1)],
            trial,
            arguments=["--output", str(tmp_path / "toy.jsonl"), *arguments],
        )
    return end.value.code


def good(case, rng, scratch):
    import frame

    (scratch / "file").touch()
    return frame.Outcome("right", True, {"drawn": rng.randrange(10**6)}, {"case": case})


def lines(tmp_path):
    found = [json.loads(line) for line in (tmp_path / "toy.jsonl").read_text().splitlines()]
    return {line["number"]: {**line, "seconds": 0} for line in found}


@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_campaign_goes_on_where_it_was_killed(tmp_path, capsys, workers):
    assert run(tmp_path, good, "--trials", "9", "--workers", workers) == 0
    whole = lines(tmp_path)
    path = tmp_path / "toy.jsonl"
    content = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(content[:4]) + content[4][:20])
    assert run(tmp_path, good, "--table") == 0
    assert len(path.read_bytes().splitlines()) == 5
    assert run(tmp_path, good, "--trials", "9", "--workers", workers) == 0
    assert lines(tmp_path) == whole
    assert set(whole) == set(range(9))
    assert [whole[n]["case"] for n in range(4)] == [0, 1, 0, 1]
    drawn = sum(line["counts"]["drawn"] for line in whole.values())
    assert capsys.readouterr().out.endswith(f"| all | 9 | 9 | {drawn:,} |\n")
    assert list((tmp_path / "toy.work").iterdir()) == []


def test_a_bad_end_is_counted(tmp_path, capsys):
    import frame

    def bad(case, rng, scratch):
        (scratch / "file").touch()
        if case:
            raise ValueError("so")
        return frame.Outcome("wrong", good=rng.random() > 1)

    assert run(tmp_path, bad, "--trials", "3") == 1
    assert capsys.readouterr().out.splitlines() == [
        "| case | trials | **wrong** | **error in the trial** |",
        "| --- | --- | --- | --- |",
        "| even | 2 | 2 | 0 |",
        "| odd | 1 | 0 | 1 |",
        "| all | 3 | 2 | 1 |",
    ]
    line = lines(tmp_path)[1]
    assert "ValueError: so" in line["traceback"]
    assert (Path(line["scratch"]) / "file").exists()
    # One trial is repeated, and changes nothing; nor does a campaign of another name.
    before = (tmp_path / "toy.jsonl").read_bytes()
    assert run(tmp_path, bad, "--only", "0") == 1
    assert "another campaign or seed" in run(tmp_path, bad, "--seed", "1")
    assert (tmp_path / "toy.jsonl").read_bytes() == before


@pytest.mark.slow
def test_no_update_is_lost_and_no_read_is_torn(tmp_path, monkeypatch):
    """Though writers are killed, and somebody removes the lock's file."""
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    import shared_index

    plan = shared_index.Plan(
        writers=3,
        readers=1,
        kills=8,
        pause=0.06,
        names=("it.index", "links/it.index"),
        remove_lock=True,
    )
    outcome = shared_index.run(plan, random.Random(0), tmp_path)
    assert outcome.name == "all there", outcome
    assert outcome.counts["changes acknowledged"] > 8
    assert outcome.counts["reads"] > 1


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
def test_each_search_in_a_thread_is_of_one_state():
    import searching_threads

    outcome = searching_threads.run(
        searching_threads.Plan(searchers=4, batches=40), random.Random(0)
    )
    assert outcome.name == "one state", outcome
    assert outcome.counts["changes"] == 40
    assert outcome.counts["searches"] >= 4
