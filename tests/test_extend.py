"""What docs/extend.md promises: a loss, a method and a data source in files of one's own.

The files are those that the page prints, so that the page cannot rot.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import quick

ROOT = Path(__file__).resolve().parent.parent


def printed_files():
    """{name: content} of the page's Python blocks, which begin with `# name.py`."""
    blocks = re.findall(
        r"```python\n# (\S+\.py)\n(.*?)```", (ROOT / "docs/extend.md").read_text(), re.S
    )
    return dict(blocks)


@pytest.mark.parametrize(
    "config", ["my_loss_config.py", "my_method_config.py", "my_data_config.py"]
)
def test_a_file_of_ones_own_runs_without_touching_jhash(tmp_path, config):
    for name, content in printed_files().items():
        (tmp_path / name).write_text(content)
    command = [sys.executable, str(ROOT / "launch.py"), f"--config={config}", "--workdir=run"]
    command += ["--config.epochs=1", "--config.batch_size=64"]
    environment = os.environ | quick.ENVIRONMENT
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert 0 < results["map_encoded"] <= 1
    lines = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    if config == "my_loss_config.py":
        assert "balance" in lines[0], "the loss of the config was not the one that ran"
        assert "map_learned" in results
    else:
        assert "map_learned" not in results
