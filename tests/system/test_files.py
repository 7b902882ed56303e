"""Files that are written whole or not at all, and locks."""

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
import threading
import time

import pytest

from jhash.errors import InputError
from jhash.system import files


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder" / "value.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"a": [1.0, float("nan")]})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    with contextlib.suppress(KeyboardInterrupt), files.replacing(path) as file:
        file.write("half of")
        raise KeyboardInterrupt
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert [entry.name for entry in path.parent.iterdir()] == ["value.json"]


def write(path, text):
    with files.replacing(path) as file:
        file.write(text)


def test_the_file_that_a_link_leads_to_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "real").write_text("old")
    links = [tmp_path / "link", tmp_path / "to link", tmp_path / "dangling"]
    for link, target in zip(links, ("real", "link", "there/new"), strict=True):
        link.symlink_to(target)
    write(links[1], "new")
    write(links[2], "made")
    assert all(link.is_symlink() for link in links)
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "there" / "new").read_text() == "made"


def test_permissions_stay(tmp_path):
    path = tmp_path / "secret"
    write(path, "new")
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o600)
    write(path, "newer")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "newer"


def pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (os.mkdir, "it", "Is a directory"),
        (None, "new/", "Is a directory"),
        (pipe, "it", "Not a regular file"),
        (lambda path: path.symlink_to(os.devnull), "it", "Not a regular file"),
        (lambda path: path.symlink_to(path), "it", "Not a regular file"),
        (lambda path: path.write_text(""), "it/new", "Not a directory"),
    ],
)
def test_what_is_no_file_is_left_alone(tmp_path, make, name, message):
    if make:
        make(tmp_path / "it")
    path = f"{tmp_path}/{name}"
    before = os.lstat(tmp_path / "it") if make else None
    with pytest.raises(InputError, match=f"{path}: cannot be written: ({message})"):
        files.check_output(path)
    with pytest.raises(OSError, match=message):
        write(path, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == (["it"] if make else [])
    assert not make or os.lstat(tmp_path / "it").st_ino == before.st_ino


def test_the_check_of_an_output_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a" / "b" / "file"
    files.check_output(path)
    assert not list(tmp_path.iterdir())
    checked = []
    monkeypatch.setattr(os, "access", lambda *arguments: checked.append(arguments))
    with pytest.raises(InputError, match=f"{path}: cannot be written: Permission denied"):
        files.check_output(path)
    assert checked == [(str(tmp_path), os.W_OK | os.X_OK)]


def test_a_lock_has_one_holder(tmp_path):
    path = tmp_path / "new" / ".lock"
    held, refused = files.lock(path, wait=False), files.lock(path, wait=False)
    with held, pytest.raises(BlockingIOError), refused:
        pass
    with files.lock(path, wait=True):
        pass


def test_a_lock_leaves_what_its_file_holds(tmp_path):
    path = tmp_path / "notes"
    path.write_text("mine")
    with files.lock(path, wait=False):
        pass
    assert path.read_text() == "mine"


@pytest.mark.timeout(20)
def test_a_lock_that_is_a_trap(tmp_path):
    """Of a folder in which others write, too."""
    victim, link, fifo = (tmp_path / name for name in ("victim", "link", "fifo"))
    victim.write_text("mine")
    link.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"), files.lock(link, wait=True):
        pass
    assert victim.read_text() == "mine"
    os.mkfifo(fifo)
    with files.lock(fifo, wait=True), pytest.raises(BlockingIOError), files.lock(fifo, wait=False):
        pass


def test_a_lock_of_another_user(tmp_path, monkeypatch):
    """It can be read, but not written."""
    path = tmp_path / ".lock"
    path.touch()
    really_open = os.open

    def guarded(name, flags, *mode):
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise PermissionError(13, "Permission denied", str(name))
        return really_open(name, flags, *mode)

    monkeypatch.setattr(os, "open", guarded)
    with files.lock(path, wait=False), pytest.raises(BlockingIOError), files.lock(path, wait=False):
        pass


@pytest.mark.parametrize("replace", [False, True])
def test_a_lock_whose_file_goes_while_others_wait(tmp_path, replace):
    """They lock the file that has the path when they get it."""
    path = tmp_path / ".lock"
    holders, most = [], []

    def hold():
        with files.lock(path, wait=True) as handle:
            holders.append(handle)
            most.append(len(holders))
            assert files.is_at(handle, path)
            time.sleep(0.02)
            holders.remove(handle)

    with files.lock(path, wait=False):
        threads = [threading.Thread(target=hold) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.05)
        path.unlink()
        if replace:
            path.touch()
    for thread in threads:
        thread.join(10)
    assert most == [1, 1, 1]


WRITER = """
import os, signal, sys, time
from jhash.system import files

with files.replacing(sys.argv[1]) as file:
    file.write("half")
    file.flush()
    print(flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def writer(path):
    """A process that has written half of a file, and writes no more until its stdin is closed."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process


def test_what_a_killed_writer_leaves_is_removed_by_the_next_one(tmp_path):
    strangers = (".abcdefgh.tmp", ".jhash-abcdefgh.tmp.swp", ".jhash-short.tmp", "jhash-x.tmp")
    for name in strangers:
        (tmp_path / name).touch()
    with writer(tmp_path / "killed") as killed, writer(tmp_path / "live") as live:
        killed.kill()
        killed.wait()
        live_file = next(iter(set(temporary_files(tmp_path)) - {unlocked(tmp_path)}))
        write(tmp_path / "new", "new")
        assert temporary_files(tmp_path) == [live_file]
        live.stdin.close()
        assert live.wait() == 0
    assert (tmp_path / "live").read_text() == "half"
    names = {entry.name for entry in tmp_path.iterdir()}
    assert names == {*strangers, "live", "new"}


def temporary_files(folder):
    return sorted(name for name in os.listdir(folder) if files._TEMPORARY.fullmatch(name))


def unlocked(folder):
    """The one temporary file that no process holds."""
    (name,) = (
        name
        for name in temporary_files(folder)
        if files._remove_unless_held(folder / name, dry=True)
    )
    return name


def test_a_temporary_file_that_is_removed_before_it_is_locked(tmp_path, monkeypatch):
    """Another writer took it for one that a kill has left; the first one makes another."""
    mkstemp, made = files.tempfile.mkstemp, []

    def slow(**arguments):
        temporary = mkstemp(**arguments)
        made.append(temporary)
        if len(made) == 1:
            write(tmp_path / "other", "other")
        return temporary

    monkeypatch.setattr(files.tempfile, "mkstemp", slow)
    write(tmp_path / "file", "whole")
    assert len(made) == 3
    assert {entry.name for entry in tmp_path.iterdir()} == {"file", "other"}
    assert (tmp_path / "file").read_text() == "whole"


def test_a_temporary_file_that_gets_its_name_before_it_is_removed(tmp_path, monkeypatch):
    """The lock that the other writer then gets is on the finished file."""
    with files.replacing(tmp_path / "file") as file:
        file.write("whole")
        (temporary,) = temporary_files(tmp_path)
        handle = os.open(tmp_path / temporary, os.O_RDWR)
    monkeypatch.setattr(os, "open", lambda *arguments: handle)
    assert not files._remove_unless_held(tmp_path / temporary)
    assert (tmp_path / "file").read_text() == "whole"


@pytest.mark.parametrize("kind", ["refused", "ignored"])
def test_where_there_are_no_locks_nothing_is_removed(tmp_path, monkeypatch, kind):
    """As on network file systems: flock fails, or it does nothing."""
    left = tmp_path / ".jhash-abcdefgh.tmp"
    left.touch()

    def flock(handle, operation):
        if kind == "refused":
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", flock)
        write(tmp_path / "file", "whole")
    assert (tmp_path / "file").read_text() == "whole"
    assert left.exists()
    write(tmp_path / "file", "again")
    assert not left.exists()


@pytest.mark.parametrize("name", ["fsync", "chmod", "replace", "fdopen"])
def test_a_write_that_fails_names_the_file(tmp_path, monkeypatch, name):
    path = tmp_path / "file"
    write(path, "old")
    if name == "fdopen":  # The write itself.
        monkeypatch.setattr(os, name, lambda handle, mode: open("/dev/full", mode))  # noqa: SIM115
    else:

        def full(*arguments):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *arguments)

        monkeypatch.setattr(os, name, full)
    with pytest.raises(OSError, match="No space left") as caught:
        write(path, "new")
    assert caught.value.filename == str(path)
    assert str(caught.value) == f"[Errno 28] No space left on device: '{path}'"
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/proc/new", "No such file or directory"),
        ("/proc/new/file", "No such file or directory"),
        ("/dev/full/file", "Not a directory"),
        ("/sys/file", "Permission denied|Read-only file system|Operation not permitted"),
        ("x" * 300, "File name too long"),
    ],
)
def test_places_where_no_file_can_be_made(tmp_path, monkeypatch, path, message):
    """Of which some let themselves be written to, if one asks `os.access`."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"^{path}: cannot be written: ({message})\.$"):
        files.check_output(path)
    with pytest.raises(OSError, match=message) as caught:
        write(path, "")
    assert path.startswith(caught.value.filename)  # A folder that cannot be made, or the file.


def test_a_full_disk_shows_before_the_work(tmp_path, monkeypatch):
    full = open("/dev/full", "wb", buffering=0)  # noqa: SIM115 - closed by the check
    monkeypatch.setattr(files.tempfile, "TemporaryFile", lambda **arguments: full)
    with pytest.raises(InputError, match="file: cannot be written: No space left on device"):
        files.check_output(tmp_path / "file")
