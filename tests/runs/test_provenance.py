"""The circumstances of a result: the processor by its name, wherever the system keeps it."""

import os
import platform
import subprocess

import pytest

from jhash.runs import provenance

CPUINFO = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD  EPYC 9354 32-Core Processor \n"
LSCPU = "Architecture:   aarch64\nModel:   1\nModel name:     Neoverse-N1\n"


@pytest.mark.parametrize(
    ("system", "cpuinfo", "printed", "expected"),
    [
        ("Linux", CPUINFO, {}, "AMD EPYC 9354 32-Core Processor"),
        ("Linux", "processor: 0\nBogoMIPS: 50\n", {"lscpu": LSCPU}, "Neoverse-N1"),
        ("Darwin", CPUINFO, {"sysctl": "Apple M3 Pro\n"}, "Apple M3 Pro"),
        ("Windows", "", {}, "the architecture"),
    ],
)
def test_the_processor_has_a_name(monkeypatch, system, cpuinfo, printed, expected):
    """Where neither the file nor the program exists, the architecture has to do."""

    def run(command, **options):
        if command[0] not in printed:
            raise FileNotFoundError
        return subprocess.CompletedProcess(command, 0, printed[command[0]])

    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "processor", lambda: "the architecture")
    monkeypatch.setattr(provenance, "_cpuinfo", lambda: cpuinfo)
    monkeypatch.setattr(subprocess, "run", run)
    assert provenance.describe(1)["device"]["processor"] == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system binds no processes")
def test_only_the_cores_that_the_process_may_use_count():
    """As under taskset, or in a queue: a run on one core of many has the speed of one."""
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert provenance.describe(1)["device"]["cores"] == 1
    finally:
        os.sched_setaffinity(0, cores)
    assert provenance.describe(1)["device"]["cores"] == len(cores)
