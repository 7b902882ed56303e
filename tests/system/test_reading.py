"""Files of others: only regular ones, and JSON that Python can read."""

import os

import pytest

from jhash.system import reading


def test_only_regular_files_are_opened(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"text")
    with reading.open_regular(path) as file:
        assert file.read() == b"text"
    os.mkfifo(tmp_path / "fifo")
    os.symlink("loop", tmp_path / "loop")
    for name, message in (
        ("fifo", "Not a regular file"),
        ("/dev/zero", "Not a regular file"),
        ("", "Is a directory"),
        ("missing", "No such file"),
        ("loop", "symbolic links"),
    ):
        before = os.listdir("/proc/self/fd")
        with pytest.raises(OSError, match=message):
            reading.open_regular(tmp_path / name)
        assert os.listdir("/proc/self/fd") == before  # None is left open.


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"9" * 5000, "Exceeds the limit"),
        (b"\xff", "utf-8"),
        ("{}".encode("utf-16"), "utf-8"),
        (b"{", "Expecting"),
        (b"", "Expecting value"),
        (b"{} {}", "Extra data"),
    ],
)
def test_json_that_cannot_be_read_is_a_value_error_of_one_line(tmp_path, data, message):
    (tmp_path / "file.json").write_bytes(data)
    with pytest.raises(ValueError, match=message) as error:
        reading.read_json(tmp_path / "file.json")
    assert str(error.value).isprintable()


def test_json_that_can(tmp_path):
    (tmp_path / "file.json").write_text('{"ä": [1, 2.5, null, "x"]}', encoding="utf-8")
    assert reading.read_json(tmp_path / "file.json") == {"ä": [1, 2.5, None, "x"]}
