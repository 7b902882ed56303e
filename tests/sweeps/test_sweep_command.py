"""The command line of a sweep."""

from pathlib import Path

import pytest

from jhash.commands import config_file, main
from jhash.commands.sweep import _grid
from jhash.errors import InputError
from jhash.runs import workdirs
from tests.support import stub_run

TABLE = """
from jhash.sweeps import Column, DataSet, Metric, Row, Table

def get_table():
    return Table(
        "Tiny", "None.", [Row("A", "tests/support/tiny.py"), Row("B", "tests/support/tiny.py",
        overrides={"epochs": 3})],
        [DataSet("tiny", "embedded")], [Column("12", x=12)], [Metric("encoded.map", "MAP")],
    )
"""

OWN = """
from tests.support import tiny

def get_config():
    config = tiny.get_config()
    config.keep_metric = "map_learned"
    return config
"""

pytestmark = pytest.mark.usefixtures("undrawn", "stub")


@pytest.fixture
def sweep(tmp_path, capsys):
    """Runs `python -m jhash sweep` in this process: (exit status, stdout, stderr)."""
    (tmp_path / "mine.py").write_text(TABLE)

    def call(*arguments, table=tmp_path / "mine.py"):
        capsys.readouterr()
        words = ["sweep", str(table), "--runs", str(tmp_path / "runs")]
        words += ["--output", str(tmp_path / "out"), *arguments]
        try:
            status = main.main(words)
        except SystemExit as wrong_use:
            status = wrong_use.code
        return status, *capsys.readouterr()

    return call


def test_the_table_is_written_and_printed(sweep, tmp_path, stub):
    status, out, err = sweep("--seeds", "2", "--only", "A")
    assert status == 0
    assert out.startswith("# Tiny\n")
    assert f"The table is in {tmp_path}/out: table.md, table.csv, table.tex, table.html." in out
    assert "A, tiny, 12, seed 1: map_encoded" in err
    assert len(stub) == 2
    assert sweep("--seeds", "2", "--table")[0] == 0
    assert len(stub) == 2


def test_a_config_in_place_of_a_table_is_run_with_its_seeds(sweep, stub, tmp_path):
    status, out, _ = sweep("--seeds", "2", table="tests/support/tiny.py:bits=8")
    assert status == 0
    assert out.startswith("# tests/support/tiny.py:bits=8\n")
    assert "| fdah | " in out
    assert "MAP of learned codes" in out
    assert "- Bold: the best of a column.\n" in out  # There is no paper.
    assert sweep(table="tests/support/tiny.py:bits=8")[0] == 0  # One seed, which is done.
    assert len(stub) == 2
    # They are the runs that launch.py makes of it.
    config = config_file.load("tests/support/tiny.py:bits=8")
    names = set()
    for seed in (0, 1):
        config.seed = seed
        names.add(Path(workdirs.default(config)).name)
    assert {Path(folder).name for folder in stub} == names


def test_a_grid_of_a_config_is_chosen_by_its_keep_metric(sweep, tmp_path, monkeypatch):
    from jhash.sweeps import training

    def train(config, workdir):
        # The two metrics choose differently.
        gamma = config["method"]["gamma2"]
        metrics = {"map_encoded": 1 / gamma, "map_learned": gamma / 9}
        chosen = {"size": 20, "epoch": 1, "chosen_by": None, "stopped_early": False}
        stub_run.train(config, workdir, validation={"metrics": metrics, **chosen})

    monkeypatch.setattr(training, "run", train)
    (tmp_path / "mine.py").write_text(OWN)
    words = ("--grid", "method.gamma2=1.0,9.0", "--validation", "20", "--seeds", "1")
    status, out, err = sweep(*words, table=tmp_path / "mine.py")
    assert (status, err.count("seed 0")) == (0, 2)
    assert "method.gamma2=9.0 chosen by map_learned of" in out
    assert "method.gamma2=1.0 chosen by map_encoded of" in sweep(*words, "--by", "map_encoded")[1]


def test_the_quick_version_of_a_config_is_refused(sweep, stub):
    status, _, err = sweep("--quick", table="tests/support/tiny.py")
    assert status == 1
    assert "--quick: given with a config; allowed: with a table" in err
    assert not stub


def test_a_method_that_learns_no_codes_has_no_place_for_them(sweep):
    out = sweep("--seeds", "1", table="configs/baselines/dpsh.py:smoke")[1]
    assert "MAP of encoded codes" in out
    assert "learned" not in out


def test_a_config_without_its_data_makes_no_table_in_silence(sweep, stub):
    status, out, err = sweep(table="configs/fdah.py:folder")
    assert (status, stub) == (1, [])
    assert "folder is not here (config.data.source: 'folder' given without the option" in out
    assert "none of the runs asked for can be made here; the table says why." in err


def test_files_of_a_config_are_named_after_it(monkeypatch, tmp_path):
    config = Path("tests/support/tiny.py").resolve()
    monkeypatch.chdir(tmp_path)
    assert main.main(["sweep", f"{config}:bits=8,seed=1", "--seeds", "1"]) == 0
    assert [path.name for path in (tmp_path / "tables").iterdir()] == ["tiny-bits=8-seed=1"]


def test_a_failed_run_gives_status_1(sweep, monkeypatch):
    from jhash.sweeps import training

    def fail(config, workdir):
        raise InputError("config.x: 1 given; allowed: 2.")

    monkeypatch.setattr(training, "run", fail)
    status, out, err = sweep("--seeds", "1")
    assert status == 1
    assert "jhash: 2 of 2 runs failed; the table says why." in err
    assert "failed: config.x: 1 given; allowed: 2." in out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--only", "C"), 1, "--only: 'C' given; allowed: A, B; 12; tiny."),
        (("--seeds", "0"), 2, "0 given; allowed: 1 or more"),
        (("--grid", "optimizer"), 2, "'optimizer' given; allowed: FIELD=A,B,..."),
        (("--grid", "bits="), 2, "'bits=' given; allowed: FIELD=A,B,..."),
        (("--grid", "bits=8", "--grid", "bits=16"), 1, "--grid: a field given twice"),
        (("--grid", "bit=8"), 1, "config.bit: 8 given, but there is no such field"),
        (("--by", "map_encoded"), 1, "--by: map_encoded given without --grid; allowed: with --g"),
        (("--validation", "9"), 1, "--validation: 9 given without --grid; allowed: with --grid"),
        (("--folder", "tiny"), 2, "'tiny' given; allowed: DATA=FOLDER"),
        (("--folder", "big=x"), 1, "--folder: 'big' given; allowed: tiny."),
    ],
)
def test_wrong_use_is_one_line_before_any_work(sweep, tmp_path, stub, arguments, status, message):
    ended = sweep(*arguments)
    assert ended[:2] == (status, "")
    assert message in ended[2]
    assert not stub
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "TABLE: there/none.py given; allowed: a file, and there is none of that name."),
        ("x = 1", "which has no function get_table; allowed: a Python file with one, such as conf"),
        ("def get_table():\n    return {}", "get_table: a dict returned; allowed: a jhash.sweeps"),
        ("def get_table():\n    return 1 / 0", "line 2: ZeroDivisionError: division by zero."),
        ("def get_table(x):\n    return x", "allowed: what the file's get_table takes (missing"),
    ],
)
def test_a_file_that_makes_no_table_is_refused(sweep, tmp_path, content, message):
    path = "there/none.py" if content is None else tmp_path / "bad.py"
    if content is not None:
        path.write_text(content)
    status, out, err = sweep(table=path)
    assert (status, out) == (1, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_grid_has_a_folder_of_its_own(monkeypatch, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(TABLE.replace("tests/", f"{Path.cwd()}/tests/"))
    monkeypatch.chdir(tmp_path)
    assert main.main(["sweep", "mine.py", "--seeds", "1"]) == 0
    assert main.main(["sweep", "mine.py", "--seeds", "1", "--grid", "epochs=2"]) == 0
    assert "validation images are missing in the training" in capsys.readouterr().out
    for name in ("mine", "mine-grid"):
        assert (tmp_path / "tables" / name / "table.md").exists()
    assert "validation" not in (tmp_path / "tables" / "mine" / "table.md").read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optimizer.learning_rate=1e-4,3e-4", ("optimizer.learning_rate", (1e-4, 3e-4))),
        ("config.epochs=3", ("epochs", (3,))),
        ("optimizer.name=sgd,adam", ("optimizer.name", ("sgd", "adam"))),
        ("augment.flip=True,False", ("augment.flip", (True, False))),
        ("model.widths=(8,16),(4,4)", ("model.widths", ((8, 16), (4, 4)))),
        ("image.crop=None,24", ("image.crop", (None, 24))),
        ("model.name='a.B',c", ("model.name", ("a.B", "c"))),
    ],
)
def test_values_of_a_grid(text, expected):
    assert _grid(text) == expected
