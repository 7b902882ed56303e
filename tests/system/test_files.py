"""Files that are written whole or not at all, and locks."""

import contextlib
import os

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
        (lambda path: path.write_text(""), "it/new", "Not a directory|File exists"),
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
