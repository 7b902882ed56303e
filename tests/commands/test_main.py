"""The command line as a whole: help, exit statuses, what is quiet, where reports go."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import jhash as package
from jhash.data import image_files

ROOT = Path(__file__).resolve().parents[2]


ACTIONS = [f"index {action}" for action in ("build", "update", "add", "remove", "info", "export")]


@pytest.mark.parametrize(
    "command", ["encode", "index", *ACTIONS, "search", "serve", "report", "export"]
)
def test_help_has_an_example(jhash, command):
    status, out, _ = jhash(*command.split(), "--help")
    assert status == 0
    assert f"  python -m jhash {command} " in out


@pytest.mark.parametrize("arguments", [(), ("find",), ("report",), ("encode", "--batch-size", "0")])
def test_wrong_use(jhash, arguments):
    status, _, err = jhash(*arguments)
    assert status == 2
    assert err.startswith("usage: python -m jhash")


def test_the_version(jhash):
    assert jhash("--version") == (0, f"jhash {package.__version__}\n", "")


def test_every_command_has_json(jhash):
    for command in ("encode", *ACTIONS, "search", "serve", "report", "export", "sweep"):
        assert " --json " in jhash(*command.split(), "--help")[1], command


def test_help_imports_no_jax():
    code = "import sys; from jhash.commands import main; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
def test_a_reader_that_goes_away_and_ctrl_c_are_quiet(jhash, index, monkeypatch):
    command = [sys.executable, "-m", "jhash", "search", "--index", str(index), "--id", "0.png"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(image_files, "find", interrupted)
    status, _, err = jhash("encode", "--run", "r", "--images", "i", "--output", "codes.npz")
    assert (status, err) == (130, "")
    assert not Path("codes.npz").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("encode", "--run", "gone", "--images", "gone", "--output"),
        ("index", "build", "--run", "gone", "--images", "gone", "--output"),
        ("index", "build", "--codes", "gone", "--output"),
        ("index", "build", "--images", "gone", "--output"),
        ("search", "--index", "gone", "--id", "gone", "--html"),
        ("index", "export", "--index", "gone", "--faiss", "new", "--packed", "new", "--ids"),
        ("report", "gone", "--output"),
    ],
)
def test_an_output_that_cannot_be_written_shows_before_the_work(jhash, tmp_path, command):
    """Before it is seen that nothing of the input is there."""
    (tmp_path / "file").touch()
    for output in (tmp_path, tmp_path / "file" / "new", os.devnull):
        status, out, err = jhash(*command, output)
        assert (status, out) == (1, "")
        assert err.startswith(f"jhash: {output}: cannot be written: ")
        assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_names_that_are_no_text(jhash, run, photos, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    path = os.fsencode(folder) + b"/caf\xe9.png"
    with open(path, "wb") as file:
        file.write((photos / "0.png").read_bytes())
    index = tmp_path / "names.index"
    status, _, err = jhash("index", "build", "--run", run, "--images", folder, "--output", index)
    assert status == 0, err
    status, out, err = jhash("search", "--index", index, "--image", os.fsdecode(path))
    assert status == 0, err
    assert out.splitlines()[2].split() == ["1", "0", r"caf\xe9.png"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("one",), (["one"], os.path.join("one", "report.html"))),
        (("one", "two"), (["one", "two"], "report.html")),
        (("one", "two", "--output", "o.html"), (["one", "two"], "o.html")),
    ],
)
def test_where_the_report_goes(jhash, monkeypatch, given, expected):
    calls = []
    stand_in = types.SimpleNamespace(write=lambda *arguments: calls.append(arguments) or ["No."])
    monkeypatch.setitem(sys.modules, "jhash.report", stand_in)
    monkeypatch.setattr("jhash.report", stand_in, raising=False)
    status, out, err = jhash("report", *given)
    assert (status, err) == (0, "jhash: No.\n")
    assert calls == [(*expected, ())]
    assert out == f"The report is in {expected[1]}.\n"
    _, out, _ = jhash("report", *given, "--json")
    assert json.loads(out) == {"report": expected[1], "missing": ["No."]}


def test_messages_name_the_flags(jhash, run, tmp_path):
    gone, output = tmp_path / "gone", tmp_path / "new"
    images = ("--run", run, "--images", gone, "--output", output)
    for command in (("encode",), ("index", "build")):
        status, _, err = jhash(*command, *images)
        assert status == 1
        assert err.startswith(f"jhash: --images: {gone} given, ")
    damaged = tmp_path / "run"
    (damaged / "codes").mkdir(parents=True)
    for name in os.listdir(run / "codes"):
        (damaged / "codes" / name).write_text("damaged")
    status, _, err = jhash("index", "build", "--run", damaged, "--output", output)
    assert status == 1
    assert err.startswith(f"jhash: --run: {damaged} given; its codes cannot be read: ")
    status, _, err = jhash("report", gone, gone)
    assert status == 1
    assert err.startswith(f"jhash: RUN: {gone} given twice")
