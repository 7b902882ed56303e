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
    names = {"memory.max": "limit", "memory.current": "usage", "memory.stat": "stat"}
    there = {"/proc/meminfo": "meminfo"}
    there |= {f"/sys/fs/cgroup/{name}": file for name, file in names.items()}
    redirect(monkeypatch, tmp_path, there)
    assert memory.available() == expected


@pytest.mark.parametrize(
    ("line", "folder", "names"),
    [
        ("0::/slurm/job_7/step_0", "", ("memory.max", "memory.current")),
        ("4:memory:/slurm/job_7", "memory/", ("memory.limit_in_bytes", "memory.usage_in_bytes")),
        (
            "4:cpu,memory:/slurm/job_7",
            "memory/",
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ),
    ],
)
def test_a_job_may_have_less_than_its_machine(tmp_path, monkeypatch, line, folder, names):
    """Its group, or one around it, has the limit."""
    files = {
        "limit": "30720",
        "usage": "20480",
        "meminfo": MEMINFO,
        "cgroup": f"1:name=x:/\n{line}",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    there = {"/proc/meminfo": "meminfo", "/proc/self/cgroup": "cgroup"}
    group = f"/sys/fs/cgroup/{folder}slurm/job_7"
    there |= {f"{group}/{name}": file for name, file in zip(names, files, strict=False)}
    redirect(monkeypatch, tmp_path, there)
    assert memory.available() == 10240


def redirect(monkeypatch, folder, there):
    """Gives the content of other files for those that a system has, which has no more."""
    text = memory._text
    empty = str(folder / "none")
    monkeypatch.setattr(
        memory, "_text", lambda path: text(str(folder / there[path]) if path in there else empty)
    )


def test_a_system_without_such_files_has_half_of_its_memory(monkeypatch):
    monkeypatch.setattr(memory, "_text", lambda path: "")
    sizes = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(memory.os, "sysconf", sizes.__getitem__)
    assert memory.available() == 500 * 4096
