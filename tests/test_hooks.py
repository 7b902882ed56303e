"""Hooks that few methods of jhash use: one device, eight, killed and resumed.

`dpsh` has a table of outputs by sample (`after_step`), `adsh` learned codes and `dfh` centers that
are renewed after an epoch, `bihalf` a teacher and a ranking of the batch, `cibhash` strongly
augmented views, `tbh` two players. The others are small methods of the tests. All deep methods of
`configs/baselines/` go through the first two tests in `tests/campaigns/methods.py`.
"""

import importlib

import jax
import numpy as np
import pytest

from configs.baselines import shallow
from jhash import train
from jhash.encoding import encoder
from jhash.errors import InputError
from jhash.experiment import build
from jhash.methods import fitting, load
from jhash.runs import workdirs
from tests.support import chance, method_runs, tiny
from tests.support.method_runs import run_steps, tiny_config

pytestmark = pytest.mark.usefixtures("quick_compilation")

METHODS = ("dpsh", "adsh", "dfh", "classified", "cibhash", "tbh")


@pytest.mark.slow
@pytest.mark.parametrize("method", [*METHODS, "bihalf"])
def test_one_device_equals_eight(method, tmp_path):
    method_runs.check_devices(tiny_config(method), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_killed_and_stopped_run_ends_with_the_same_bits(method, tmp_path):
    config = tiny_config(method)
    if method in ("classified", "tbh"):
        config.optimizer.average = 0.9
    if method == "classified":
        config.accumulate, config.optimizer.clip_norm = 2, 0.5
        config.optimizer.rates = {"model/Conv_*": 0.0, "head": 2.0}
    method_runs.check_resume(config, tmp_path)


def test_a_table_by_sample_is_written_in_every_step(monkeypatch):
    config = tiny_config("table")
    _, _, state = run_steps(config, 8, monkeypatch, steps=3)
    experiment = build(workdirs.check("none", config))
    seen = experiment.epoch_indices(experiment.state, 0)[: 3 * config.batch_size]
    expected = np.bincount(seen, minlength=len(experiment.data.source))
    np.testing.assert_array_equal(state["seen"], expected)
    assert np.array_equal(np.abs(state["table"]).sum(1) > 0, expected > 0)


@pytest.mark.slow
def test_two_views_differ_and_the_step_is_counted(tmp_path):
    config = tiny_config("views")
    results = train.train(config, str(tmp_path))
    assert results["last_line"]["steps"] == results["steps"] - 1
    assert results["last_line"]["distance"] > 0


@pytest.mark.slow
def test_a_head_is_trained_and_goes_into_the_encoder(tmp_path):
    config = tiny_config("classified", epochs=8)
    results = train.train(config, str(tmp_path))
    assert results["last_line"]["accuracy"] > 0.8
    assert results["map_encoded"] > 0.5
    loaded = encoder.load(str(tmp_path), ["tests"])
    source = tiny.source()
    from PIL import Image

    path = tmp_path / "image.png"
    Image.fromarray(source.images(np.array([200]))[0, ..., 0]).save(path)
    with np.load(tmp_path / "codes" / "queries.npz") as saved:
        np.testing.assert_array_equal(loaded.encode_query(str(path)), saved["codes"][:1])
        np.testing.assert_array_equal(loaded.encode_query(path.read_bytes()), saved["codes"][:1])
    with pytest.raises(InputError, match="image given cannot be read"):
        loaded.encode_query(b"no image")


@pytest.mark.slow
def test_two_players_both_learn(monkeypatch):
    config = tiny_config("players")
    experiment = build(workdirs.check("none", config))
    before = experiment.first()["train_state"].params
    _, train_state, state = run_steps(config, 8, monkeypatch)
    assert state["steps"] == 4
    changed = jax.tree.map(lambda x, y: not np.array_equal(x, y), before, train_state.params)
    assert all(jax.tree.leaves(changed))


@pytest.mark.slow
@pytest.mark.parametrize("multi_label", [False, True])
def test_labels_reach_a_fit_that_asks_for_them(multi_label, tmp_path):
    config = shallow.get_config("itq,smoke")
    config.method.name = config.model.method = "tests.support.methods.supervised"
    config.data.source, config.data.split = "tests.support.tiny.source", "tests.support.tiny.split"
    config.data.options = {"multi_label": multi_label}
    results = train.train(config, str(tmp_path))
    # Of four classes, from means of rows.
    assert results["map_encoded"] > chance.mean_average_precision(tmp_path, config.bits) + 0.1


def test_a_fit_starts_with_all_classes(monkeypatch):
    """The first images may lack a class, on which the shapes of a fit may depend."""
    config = shallow.get_config("itq,smoke")
    config.method.name = config.model.method = "tests.support.methods.supervised"
    config.bits = 10
    monkeypatch.setattr(fitting, "_FEW", 3)
    experiment = build(workdirs.check("none", config))
    assert experiment.first()["train_state"].params["hash"]["directions"].shape == (10, 16)
    seen = []
    supervised = importlib.import_module("tests.support.methods.supervised")
    monkeypatch.setattr(supervised, "fit", lambda v, labels, *_: seen.append(labels) or {})
    experiment.first()
    assert set(seen[0].tolist()) == set(range(10))


def test_a_module_without_any_hook_is_no_method():
    with pytest.raises(InputError, match=r"config\.method\.name: tests\.support\.packed given"):
        load("tests.support.packed")
