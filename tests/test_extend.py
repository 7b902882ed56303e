"""What docs/extend.md promises: a loss, a method and a data source in files of one's own.

The files are those that the page prints, so that the page cannot rot.
"""

import json
import re
from pathlib import Path

import pytest

from jhash import encoding, runs, train
from tests.support import script, tiny

ROOT = Path(__file__).resolve().parent.parent


def printed_files():
    """{name: content} of the page's Python blocks, which begin with `# name.py`."""
    blocks = re.findall(
        r"```python\n# (\S+\.py)\n(.*?)```", (ROOT / "docs/extend.md").read_text(), re.S
    )
    return dict(blocks)


# A metric that the files' own loss or method logs.
CONFIGS = {
    "my_loss_config": "balance",
    "my_method_config": "likelihood",
    "my_hashnet_config": "beta",
    "my_csq_config": "center",
    "my_dpsh_config": "likelihood",
    "my_regression_config": "accuracy",
    "my_optimizer_config": "learning_rate",
    "my_data_config": "quantization",
    "my_lda_config": None,
}
# Trains every config but the first for an epoch, most of them on 64 random images.
DRIVER = """
import importlib, sys
from jhash import train

sys.path.append(".")
for name in sys.argv[1:]:
    get_config = importlib.import_module(name).get_config
    config = get_config("smoke") if name == "my_lda_config" else get_config()
    config.epochs = min(config.epochs, 1)
    config.log_every = 1
    if name not in ("my_data_config", "my_lda_config"):
        config.data.source, config.data.split = "random", "official"
        config.batch_size = config.eval_batch_size = 16
    train.train(config, f"run_{name}")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the page's files, and a run of every config: the first as a user runs it."""
    folder = tmp_path_factory.mktemp("extended")
    for name, content in printed_files().items():
        (folder / name).write_text(content)
    first, *others = CONFIGS
    arguments = [f"--config={first}.py", f"--workdir=run_{first}"]
    arguments += ["--config.data.source=random", "--config.data.split=official"]
    arguments += ["--config.epochs=1", "--config.batch_size=16", "--config.log_every=1"]
    arguments += ["--config.method.queries=16", "--config.eval_batch_size=16"]
    (folder / "driver.py").write_text(DRIVER)
    for path, *words in ((ROOT / "launch.py", *arguments), (folder / "driver.py", *others)):
        done = script.run(path, *words, cwd=folder, streams=tmp_path_factory.mktemp("streams"))
        assert done.returncode == 0, done.stderr
    return folder


def test_every_config_of_the_page_is_run_here():
    printed = {name for name in printed_files() if name.endswith("_config.py")}
    assert printed == {f"{config}.py" for config in CONFIGS}


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS)
def test_a_file_of_ones_own_runs_without_touching_jhash(folder, config):
    run = folder / f"run_{config}"
    results = json.loads((run / "results.json").read_text())
    assert 0 < results["map_encoded"] <= 1
    lines = (run / "metrics.jsonl").read_text().splitlines()
    logged = {name for line in lines for name in json.loads(line)}
    if CONFIGS[config]:
        assert CONFIGS[config] in logged, "the loss of the config was not the one that ran"
    assert ("map_learned" in results) == (config == "my_loss_config")


def test_a_module_of_nnx_is_trained_and_encodes(tmp_path):
    config = tiny.get_config()
    config.model = {"name": "tests.support.nnx_net.Net"}
    results = train.train(config, tmp_path / "run")
    assert results["parameters"] == 64 * 16 + 16 + 16 * 12 + 12
    assert results["map_encoded"] > 0.8  # A random order has 0.25.
    encoder = encoding.load(tmp_path / "run", ["tests.support.nnx_net"])
    source = tiny.source()
    queries = runs.code_files.read(runs.paths.codes(tmp_path / "run", "queries"))
    assert (encoder.encode_arrays(source.images(queries.ids)) == queries.codes).all()
