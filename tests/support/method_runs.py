"""Tiny runs of every method: on one device and on eight, killed and resumed."""

import importlib

import jax
import numpy as np
import pytest

from configs import fine_tuned
from configs.baselines import unlabeled
from jhash import parallel, train
from jhash.data import batches
from jhash.experiment import build
from jhash.runs import workdirs
from tests.support import feature_source, kills, signals, tiny

# What differs from the config of a method with labels, on the tiny data: 12 bits, four classes.
_CHANGED = {
    "adsh": {"method.queries": 80, "method.passes": 2},
    "cnnh": {"method.classification": 1.0, "model.bits": 16},
    "ddsh": {"method.columns": 20, "method.passes": 2},
    "dpn": {"method.renew_every": 2},
    "dpsh": {"method.pairs": "table", "method.quantization": 0.1},
}


def tiny_config(method, folder=None, **fields):
    """Returns a tiny config of a method of jhash, or of one of `tests.support.methods`.

    Args:
      method: Name.
      folder: Folder for files that the method needs.
      **fields: Fields that differ.
    """
    config = tiny.get_config()
    # Adam divides by the gradient's size: rounding in a tiny gradient is not tiny after it.
    config.optimizer.name, config.optimizer.learning_rate = "sgd", 0.1
    config.epochs = 3
    if method in fine_tuned.BASELINES:
        _supervised(config, method)
    elif method in unlabeled.METHODS:
        _unlabeled(config, method, folder)
    else:
        config.method = {"name": f"tests.support.methods.{method}"}
        config.augment.views = 2 if method == "views" else 1
    config.update_from_flattened_dict(fields)
    return config


def _supervised(config, method):
    own = importlib.import_module(f"configs.baselines.{method}").get_config(f"bits={config.bits}")
    config.method, config.optimizer.learning_rate = own.method, 0.05
    if "bits" in own.model:
        config.model.bits = own.model.bits
    config.update_from_flattened_dict(_CHANGED.get(method, {}))


def _unlabeled(config, method, folder):
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
    if method == "uhscm":
        config.method.scores = str(folder / "scores.npy")
        scores = np.random.default_rng(0).normal(size=(len(tiny.source()), 5)) / 10
        np.save(config.method.scores, scores.astype(np.float32))


def run_steps(config, devices, monkeypatch, steps=4, folder=None):
    """Returns the losses, and both states after some steps on the first devices."""
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


def check_devices(config, folder):
    """Fails if a run on one device differs from one on eight by more than rounding."""
    with pytest.MonkeyPatch.context() as patch:
        losses, train_state, state = run_steps(config, 1, patch, folder=folder)
        losses_8, train_state_8, state_8 = run_steps(config, 8, patch, folder=folder)
    np.testing.assert_allclose(losses, losses_8, rtol=1e-4)
    close = lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=2e-5)  # noqa: E731
    jax.tree.map(close, train_state.variables, train_state_8.variables)
    jax.tree.map(close, state, state_8)


def check_resume(config, folder):
    """Fails if a run that is killed and later stopped ends with other bits than a whole one."""
    train.train(config, str(folder / "whole"))
    with kills.during(train, "_run_epoch", lambda *arguments: arguments[-2] == 2):  # The epoch.
        train.train(config, str(folder / "broken"))
    in_the_third = lambda config, epochs, epoch, *_: epoch == 2  # noqa: E731
    with (
        pytest.MonkeyPatch.context() as patch,
        signals.coming(patch, train, "_report", in_the_third),
        pytest.raises(KeyboardInterrupt),
    ):
        train.train(config, str(folder / "broken"))
    assert (folder / "broken" / "interrupted").exists()
    train.train(config, str(folder / "broken"))
    assert kills.checkpoint(folder / "whole") == kills.checkpoint(folder / "broken")
    logs = [(folder / run / "metrics.jsonl").read_bytes() for run in ("whole", "broken")]
    assert logs[0] == logs[1]
