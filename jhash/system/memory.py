"""The memory that is free for this process."""

import os

# The limits of control groups, by version: the folder of all groups, and in that of a group the
# files of the limit, of what is in use, and of what it is in use for, and there the name of the
# files' part that the system gives up first.
_VERSIONS = {
    1: (
        "/sys/fs/cgroup/memory",
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat"),
        "total_inactive_file",
    ),
    2: ("/sys/fs/cgroup", ("memory.max", "memory.current", "memory.stat"), "inactive_file"),
}


def available() -> int:
    """Returns the bytes that processes may still take, by what the system says at this moment.

    What it keeps of files, and would give up, counts as free. Where a system says nothing, half of
    its memory is taken for free.
    """
    return min([_of_machine(), *(_of_group(*group) for group in _groups())])


def _groups():
    """Yields the files of the groups in which this process may be, from the outermost on.

    A container has its limit at the top. Under Slurm, or as a service, it is further below.
    """
    of_process = {1: "", 2: ""}
    for line in _text("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            of_process[2] = path
        elif "memory" in controllers.split(","):
            of_process[1] = path
    for version, (folder, names, given_up) in _VERSIONS.items():
        parts = [part for part in of_process[version].split("/") if part]
        for depth in range(len(parts) + 1):
            group = "/".join([folder, *parts[:depth]])
            yield (*(f"{group}/{name}" for name in names), given_up)


def _of_machine():
    free = _entry("/proc/meminfo", "MemAvailable:")
    if free is not None:
        return free * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _of_group(limit, usage, stat, given_up):
    most, used = _number(_text(limit)), _number(_text(usage))
    if most is None or used is None:
        return float("inf")
    return max(0, most - used + (_entry(stat, given_up) or 0))


def _entry(path, name):
    """Reads the number that follows a name in a file; None if there is none."""
    for line in _text(path).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name:
            return _number(words[1])
    return None


def _number(text):
    try:
        return int(text)
    except ValueError:  # Empty, or "max" for no limit.
        return None


def _text(path):
    """Reads a file; empty if there is none that can be read."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
