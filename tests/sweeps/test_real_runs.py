"""Sweeps of real runs, the smallest there are: finished, and killed in the middle."""

import os
import re
import signal
import time

import pytest

from jhash.commands import main
from tests.support import script, script_run
from tests.support.fork_server import context
from tests.sweeps.conftest import ROOT

pytestmark = pytest.mark.slow
# Two cells of a table, of methods that are fitted, which takes less time than to train.
WORDS = ["sweep", "configs/tables/fdah_table1.py", "--smoke", "--seeds", "1"]
ONLY = ["--only", "LSH", "ITQ", "12 bits", "Fashion-MNIST"]
PROGRAM = ROOT / "jhash" / "__main__.py"


def words(folder):
    return [*WORDS, *ONLY, "--runs", folder / "runs", "--output", folder / "table"]


def without_times(folder):
    """The table in Markdown up to the times."""
    text = (folder / "table" / "table.md").read_text()
    return re.sub(r"(?s)## \S+: training time.*?(?=\n## )", "", text)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a sweep whose two runs had a process each, and what it printed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = script.run(PROGRAM, *words(folder), "--workers", "2", cwd=ROOT, streams=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_two_cells_of_a_table_are_trained(undisturbed, capsys):
    folder, done = undisturbed
    runs = sorted((folder / "runs").glob("[!.]*"))
    assert [path.name.split("-")[0] for path in runs] == ["itq", "lsh"]
    assert len(list((folder / "table" / "logs").iterdir())) == 2
    # Both were fitted to the same features, and encode the same images.
    assert len(list((folder / "runs" / ".features").iterdir())) == 2
    for run in runs:
        assert not (run / "pretrain").exists()
        assert {"config.json", "results.json", "report.html", "codes"} <= set(os.listdir(run))
    text = (folder / "table" / "table.md").read_text()
    assert text in done.stdout
    assert re.search(r"^\| ITQ \| (\*\*)?\d+\.\d\d(\*\*)? \| 36\.94 \|", text, re.M)
    assert re.search(r"^\| FDAH \| – \| \*\*94\.18\*\* \|", text, re.M)
    assert re.search(r"^\| LSH \| (\*\*)?\d+\.\d\d(\*\*)? \| 22\.46 \|", text, re.M)
    assert "2/2" in done.stderr
    # In this process, nothing is left to train.
    before = without_times(folder)
    assert main.main([str(word) for word in words(folder)]) == 0
    assert without_times(folder) == before


def test_a_killed_sweep_ends_with_the_same_table(undisturbed, tmp_path):
    streams = [tmp_path / "stdout", tmp_path / "stderr"]
    arguments = (PROGRAM, tuple(map(str, words(tmp_path))), ROOT, streams)
    process = context.Process(target=script_run.run, args=arguments)
    process.start()
    deadline = time.monotonic() + 120
    # The second run has begun, and the first is finished.
    while len(list(tmp_path.glob("runs/*/config.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.glob("runs/*/results.json"))) == 1
    assert not (tmp_path / "table").exists()
    done = script.run(PROGRAM, *words(tmp_path), cwd=ROOT, streams=tmp_path)
    assert done.returncode == 0, done.stderr
    assert without_times(tmp_path) == without_times(undisturbed[0])
    assert "1/2" in done.stderr
