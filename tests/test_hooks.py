"""Hooks that few methods of jhash use: one device, eight, killed and resumed.

`dpsh` has a table of outputs by sample (`after_step`), `bihalf` a teacher and a ranking of the
batch, `cibhash` strongly augmented views, `tbh` two players. The others are small methods of the
tests.
"""

import importlib

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from configs.baselines import shallow, unlabeled
from jhash import parallel, train
from jhash.data import batches
from jhash.encoding import encoder
from jhash.errors import InputError
from jhash.experiment import build
from jhash.methods import fitting, load
from jhash.runs import workdirs
from tests.support import chance, feature_source, signals, tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")

METHODS = ("dpsh", "classified", "cibhash", "tbh")


def tiny_config(method, **fields):
    config = tiny.get_config()
    config.method = {"name": f"tests.support.methods.{method}"}
    if method == "dpsh":
        config.method = {"name": "dpsh", "pairs": "table", "quantization": 0.1}
    config.augment.views = 2 if method == "views" else 1
    if method in unlabeled.METHODS:
        config = _unlabeled_config(config, method)
    config.epochs = 3
    # Adam divides by the gradient's size: rounding in a tiny gradient is not tiny after it.
    config.optimizer.name, config.optimizer.learning_rate = "sgd", 0.1
    config.update_from_flattened_dict(fields)
    return config


def _unlabeled_config(config, method):
    """The tiny config with the method and the augmentation of a method without labels."""
    own = unlabeled.get_config(f"{method},bits=12,smoke")
    config.method, config.augment = own.method, own.augment
    if method in unlabeled.TAUGHT:
        config.method.features.update(
            name="tests.support.feature_source.Pixels", size=8, channels=1
        )
        config.augment.update(pad=1, flip=False)
    if method == "tbh":
        # A step of 0.1 would be too long for a sum over 400 images.
        config.method.update(width=feature_source.WIDTH, reconstruction=1.0)
        config.model.bits = config.bits + 4
    return config


def run_steps(config, devices, monkeypatch, steps=4, folder=None):
    """Losses, and both states after some steps on the first devices."""
    monkeypatch.setattr(jax, "local_device_count", lambda: devices)
    experiment = build(workdirs.check("none", config))
    step = parallel.map_devices(train.make_step(experiment))
    first, losses = experiment.first(), []
    if experiment.method.pretrain:
        params, state = experiment.method.pretrain(
            experiment.config,
            experiment.data,
            first["train_state"].params,
            first["state"],
            str(folder),
        )
        first.update(train_state=first["train_state"].replace(params=params), state=state)
    train_state, state = (parallel.replicate(first[name]) for name in ("train_state", "state"))
    orders = batches.batch_indices(experiment.epoch_indices(first["state"], 0), config.batch_size)
    for batch in batches.prefetch(experiment.data.source, orders[:steps]):
        train_state, new_state, metrics = step(train_state, state, parallel.shard(batch))
        state = state if new_state is None else new_state
        losses.append(float(parallel.unreplicate(metrics)["loss"]))
    return losses, *jax.device_get(parallel.unreplicate((train_state, state)))


@pytest.mark.slow
@pytest.mark.parametrize("method", [*METHODS, "bihalf"])
def test_one_device_equals_eight(method, monkeypatch, tmp_path):
    config = tiny_config(method)
    losses, train_state, state = run_steps(config, 1, monkeypatch, folder=tmp_path)
    losses_8, train_state_8, state_8 = run_steps(config, 8, monkeypatch, folder=tmp_path)
    np.testing.assert_allclose(losses, losses_8, rtol=1e-4)
    close = lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=2e-5)  # noqa: E731
    jax.tree.map(close, train_state.params, train_state_8.params)
    jax.tree.map(close, state, state_8)


class KilledError(Exception):
    """Raised in place of a signal."""


def final_state(folder):
    """The last checkpoint without its time, and the log."""
    manager = ocp.CheckpointManager(folder / "checkpoints")
    tree = manager.restore(manager.latest_step(), args=ocp.args.StandardRestore())
    manager.close()
    tree.pop("seconds")
    return jax.tree.map(lambda leaf: np.asarray(leaf).tobytes(), tree), (
        folder / "metrics.jsonl"
    ).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_killed_and_stopped_run_ends_with_the_same_bits(method, tmp_path, monkeypatch):
    config = tiny_config(method)
    if method in ("classified", "tbh"):
        config.optimizer.average = 0.9
    if method == "classified":
        config.accumulate, config.optimizer.clip_norm = 2, 0.5
        config.optimizer.rates = {"model/Conv_*": 0.0, "head": 2.0}
    train.train(config, str(tmp_path / "whole"))
    run_epoch = train._run_epoch

    def killed_in_the_third(*arguments):
        if arguments[-2] == 2:  # The epoch.
            raise KilledError
        return run_epoch(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(train, "_run_epoch", killed_in_the_third)
        with pytest.raises(KilledError):
            train.train(config, str(tmp_path / "broken"))
    in_the_third = lambda config, epochs, epoch, *_: epoch == 2  # noqa: E731
    with (
        signals.coming(monkeypatch, train, "_report", in_the_third),
        pytest.raises(KeyboardInterrupt),
    ):
        train.train(config, str(tmp_path / "broken"))
    assert (tmp_path / "broken" / "interrupted").exists()
    train.train(config, str(tmp_path / "broken"))
    assert final_state(tmp_path / "whole") == final_state(tmp_path / "broken")


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
