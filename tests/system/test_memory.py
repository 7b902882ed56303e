"""The free memory, by files like those of Linux."""

import pytest

from jhash.system import memory

MEMINFO = "MemTotal:  99 kB\nMemFree:  1 kB\nMemAvailable:  50 kB\n"


@pytest.mark.parametrize(
    ("limit", "usage", "stat", "expected"),
    [
        ("max\n", "20480\n", "", 50 * 1024),
        ("30720\n", "20480\n", "anon 1\nfile 9\n", 10240),
        ("30720\n", "20480\n", "inactive_file 4096\nanon 1\n", 14336),
        ("30720\n", "40960\n", "", 0),
        ("9223372036854771712\n", "20480\n", "", 50 * 1024),
    ],
)
def test_a_container_may_have_less_than_its_machine(
    tmp_path, monkeypatch, limit, usage, stat, expected
):
    files = {"limit": limit, "usage": usage, "stat": stat, "meminfo": MEMINFO}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    group = tuple(str(tmp_path / name) for name in ("limit", "usage", "stat"))
    monkeypatch.setattr(memory, "_GROUPS", ((*group, "inactive_file"), ("/no", "/no", "/no", "x")))
    text = memory._text
    redirected = {"/proc/meminfo": str(tmp_path / "meminfo")}
    monkeypatch.setattr(memory, "_text", lambda path: text(redirected.get(path, path)))
    assert memory.available() == expected


def test_a_system_without_such_files_has_half_of_its_memory(monkeypatch):
    monkeypatch.setattr(memory, "_text", lambda path: "")
    sizes = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(memory.os, "sysconf", sizes.__getitem__)
    assert memory.available() == 500 * 4096
