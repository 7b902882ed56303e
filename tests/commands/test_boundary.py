"""How a process ends: exit statuses, one line, nothing lost."""

import contextlib
import errno
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jhash import retrieval
from jhash.commands import boundary
from jhash.errors import InputError, NonFiniteError
from jhash.retrieval.index import editing
from jhash.system import files

ROOT = Path(__file__).resolve().parents[2]


def raising(error):
    def command():
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("k: 0 given; allowed: 1."), 1, "jhash: k: 0 given; allowed: 1."),
        (NonFiniteError("step 1: loss is nan."), 1, "jhash: step 1: loss is nan."),
        (OSError(errno.EROFS, "Read-only file system", "x"), 1, "jhash: x: cannot be written: Re"),
        (MemoryError(), 1, "jhash: memory: more requested"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
    ],
)
def test_errors_become_a_status_and_a_line(capsys, error, status, line):
    assert boundary.run(raising(error)) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert len(err.splitlines()) == bool(line)


def test_defects_and_exits_pass_through():
    with pytest.raises(ZeroDivisionError):
        boundary.run(raising(ZeroDivisionError()))
    with pytest.raises(SystemExit, match="2"):
        boundary.run(raising(SystemExit(2)))


def test_sigterm_tidies_up(tmp_path):
    """A file that is being written is left as it was, and its temporary file goes."""
    path = tmp_path / "file"
    path.write_text("old")

    def command():
        with files.replacing(path) as file:
            file.write("half of the new")
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    assert boundary.run(command) == 143
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_where_python_drops_exceptions(monkeypatch):
    """As in JAX's callback of the garbage collector: the process ends with the same status."""
    ends = []
    monkeypatch.setattr(os, "_exit", ends.append)
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)  # The process goes on here.

    def collect():
        gc.collect()

    for number, status in (signal.SIGTERM, 143), (signal.SIGINT, 130):
        callback = lambda *_, number=number: signal.raise_signal(number)  # noqa: E731
        gc.callbacks.append(callback)
        try:
            boundary.run(collect)
        finally:
            gc.callbacks.remove(callback)
        assert set(ends) == {status}
        ends.clear()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_full_disk_below_the_output(monkeypatch, capsys, stream):
    def command():
        print("much", file=getattr(sys, stream))
        if stream == "stderr":
            raise InputError("x: 1 given; allowed: 2.")

    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, stream, full)
        assert boundary.run(command) == 1
    if stream == "stdout":
        line = capsys.readouterr().err
        assert line == (
            "jhash: standard output or error: cannot be written: No space left on device.\n"
        )


START = """
import os
from jhash.commands import boundary

def command():
    with open("data", "w") as file:
        print("to stdout")
        os.write(1, b"C++ writes to stdout")
        os.write(2, b"C++ writes to stderr")
        file.write("data")

raise SystemExit(boundary.run(command))
"""


def test_closed_streams_do_not_write_to_data_files(tmp_path):
    """Else the file that is opened next gets their numbers."""
    script = f"exec {sys.executable} -c '{START}' <&- >&- 2>&-"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment)
    assert done.returncode == 0
    assert (tmp_path / "data").read_text() == "data"


ADD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)  # As jhash's own scripts do.
import numpy as np
from jhash.commands import boundary
from jhash.retrieval.index import editing

def command():
    with editing.editing(sys.argv[1]) as index:
        print(flush=True)
        time.sleep(float(sys.argv[2]))
        index.add(np.full((2000, 1), 7, np.uint32), np.arange(2000, 4000))
    with open("done", "w"):
        pass

raise SystemExit(boundary.run(command))
"""


@pytest.mark.slow
def test_a_stopped_edit_is_done_or_not(tmp_path):
    """And the lock is free, and nothing is left once the next edit has been done."""
    path = tmp_path / "some.index"
    codes = np.arange(2000, dtype=np.uint32)[:, None]
    retrieval.HammingIndex.build(codes, 32).save(str(path))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    for number, delay in ((signal.SIGTERM, 0.0), (signal.SIGINT, 0.002), (signal.SIGKILL, 0.004)):
        command = [sys.executable, "-c", ADD, str(path), "60" if not delay else "0"]
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(number)
            err = process.stderr.read()
        assert process.returncode in ((0, -number, 128 + number) if delay else (143,))
        assert err == b""
        done = (tmp_path / "done").exists()
        assert done or process.returncode != 0
        index = retrieval.HammingIndex.load(str(path))
        assert len(index) == 4000 if done else len(index) in (2000, 4000)
        with editing.editing(str(path)) as index:
            if len(index) == 4000:
                index.remove(np.arange(2000, 4000))
        with contextlib.suppress(FileNotFoundError):
            (tmp_path / "done").unlink()
        assert sorted(os.listdir(tmp_path)) == [".some.index.lock", "some.index"]
