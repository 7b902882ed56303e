"""The notebooks of examples/ run from their first cell to their last."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
NOTEBOOKS = sorted(path.name for path in EXAMPLES.glob("*.ipynb"))


def code_cells(name):
    notebook = json.loads((EXAMPLES / name).read_text())
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_there_is_a_notebook():
    assert "quickstart.ipynb" in NOTEBOOKS


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_keeps_no_outputs(name):
    for cell in code_cells(name):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs(name, tmp_path):
    """As a program of its cells, without Jupyter: on one device, as readers have it."""
    program = tmp_path / "notebook.py"
    program.write_text("\n\n".join("".join(cell["source"]) for cell in code_cells(name)))
    environment = {
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_PLATFORMS": "cpu",
        "MPLBACKEND": "agg",
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path),
        "XLA_FLAGS": "",
    }
    run = subprocess.run(
        [sys.executable, "-W", "ignore:FigureCanvasAgg is non-interactive", str(program)],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,  # Of which it takes twenty on a machine of its own.
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "(1000, 1) uint32 True" in run.stdout  # Codes of arrays are those of the evaluation.
    maps = [float(line.split()[1]) for line in run.stdout.splitlines() if line.startswith("MAP ")]
    assert len(maps) == 3
    assert maps[0] == maps[1]  # That of the run, and the one that the notebook computes.
    # The last is of a loss of the notebook itself.
    assert all(0.5 < value <= 1 for value in maps)
