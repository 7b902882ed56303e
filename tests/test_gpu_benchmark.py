"""The measurement on a GPU, with tiny sizes on a CPU, and a part that fails or takes too long."""

import importlib
import json
import sys
import time
import types
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("quick_compilation")
FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("gpu")


def failing(quick):
    yield {"table": "ties", "codes": 1}
    raise MemoryError("no room | at all")


@pytest.mark.slow
def test_parts_on_a_cpu_and_one_that_fails(gpu, monkeypatch, tmp_path):
    """The others, training against PyTorch among them, are too slow for a test; see below."""
    monkeypatch.setitem(sys.modules, "gpu_parts.fails", types.SimpleNamespace(rows=failing))
    monkeypatch.setitem(gpu.PARTS, "resuming", gpu.Part(1, "fails"))
    output = tmp_path / "gpu.md"
    parts = ["device", "search", "minima", "training_small_cnn", "resuming"]
    gpu.main(["--quick", "--here", f"--output={output}", "--only", *parts])
    report = json.loads(output.with_suffix(".json").read_text())
    assert [part["name"] for part in report["parts"] if part["done"]] == parts[:4]
    failed = report["parts"][4]
    assert failed["reason"] == "MemoryError: no room | at all"
    assert failed["rows"] == [{"table": "ties", "codes": 1}]
    tables = {row["table"]: row for part in report["parts"][:4] for row in part["rows"]}
    assert tables["device"]["platform"] == "cpu"
    assert tables["ties"]["order"] == "by (distance, index)"
    assert tables["minima"]["pallas_interpreted"]
    assert tables["search"]["memory_bound_ms"] > 0
    assert tables["training"]["jhash_images_per_s"] > 0
    assert tables["training"]["ratio"] > 0
    text = output.read_text()
    assert "tiny sizes" in text
    assert "| resuming | 0 | **failed**: MemoryError: no room / at all |" in text
    assert "| depth | | not run |" in text


@pytest.mark.slow
def test_a_part_has_a_process_and_a_time(gpu, monkeypatch, tmp_path):
    script = tmp_path / "part.py"
    script.write_text(
        "import os, sys, time\n"
        'print(\'{"table": "ties", "flags": "\' + os.environ[\'XLA_FLAGS\'] + \'"}\', flush=True)\n'
        "print('{\"table\": ', end='', flush=True)\n"
        "if 'depth' in sys.argv: sys.exit('no\\nlast line')\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr(gpu, "__file__", str(script))
    monkeypatch.setenv("XLA_FLAGS", "")
    options = types.SimpleNamespace(quick=True, minutes=8)
    failed = gpu.in_a_process("depth", options)
    assert failed["reason"] == "exit status 1: last line"
    assert failed["rows"] == [{"table": "ties", "flags": ""}]
    monkeypatch.setitem(gpu.PARTS, "resuming", gpu.PARTS["resuming"]._replace(seconds=2))
    began = time.perf_counter()
    late = gpu.in_a_process("resuming", options)
    assert time.perf_counter() - began < 30
    assert (late["done"], late["reason"]) == (False, "not done after 2 s")
    assert late["rows"] == [{"table": "ties", "flags": "--xla_gpu_deterministic_ops=true"}]


def test_all_parts_take_eight_minutes(gpu):
    assert sum(part.seconds for part in gpu.PARTS.values()) == 8 * 60
    for part in gpu.PARTS.values():
        assert (FOLDER / "gpu_parts" / f"{part.module}.py").exists()


def test_a_cpu_is_refused_without_quick(gpu, monkeypatch, capsys, tmp_path):
    row = {"table": "device", "platform": "cpu"}
    monkeypatch.setattr(gpu, "measured", lambda name, quick: iter([row]))
    with pytest.raises(SystemExit, match="cpu found; allowed: a GPU or a TPU, or --quick"):
        gpu.main(["--here", f"--output={tmp_path / 'gpu.md'}"])
    assert list(tmp_path.iterdir()) == []
    gpu.main(["--here", "--quick", "--only", "device", "--json"])
    assert json.loads(capsys.readouterr().out)["parts"][0]["rows"] == [row]
