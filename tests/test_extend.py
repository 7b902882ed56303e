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


# A metric that the files' own loss or method logs.
CONFIGS = {
    "my_loss_config.py": "balance",
    "my_method_config.py": "likelihood",
    "my_hashnet_config.py": "beta",
    "my_csq_config.py": "center",
    "my_dpsh_config.py": "likelihood",
    "my_regression_config.py": "accuracy",
    "my_data_config.py": "quantization",
    "my_lda_config.py:smoke": None,
}


def test_every_config_of_the_page_is_run_here():
    printed = {name for name in printed_files() if name.endswith("_config.py")}
    assert printed == {config.partition(":")[0] for config in CONFIGS}


@pytest.mark.parametrize("config", CONFIGS)
def test_a_file_of_ones_own_runs_without_touching_jhash(tmp_path, config):
    for name, content in printed_files().items():
        (tmp_path / name).write_text(content)
    command = [sys.executable, str(ROOT / "launch.py"), f"--config={config}", "--workdir=run"]
    learns = CONFIGS[config] is not None
    command += ["--config.epochs=1"] if learns else []
    if config != "my_data_config.py" and learns:  # 64 images in place of 10,000.
        command += ["--config.data.source=random", "--config.data.split=official"]
        command += ["--config.batch_size=16", "--config.log_every=1"]
    if config == "my_loss_config.py":
        command += ["--config.method.queries=16"]
    environment = os.environ | quick.ENVIRONMENT
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert 0 < results["map_encoded"] <= 1
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    logged = {name for line in lines for name in json.loads(line)}
    if learns:
        assert CONFIGS[config] in logged, "the loss of the config was not the one that ran"
    assert ("map_learned" in results) == (config == "my_loss_config.py")
