"""Hash layers on a frozen backbone, whose features are computed once."""

import importlib

import jax
import numpy as np
import pytest

from jhash import parallel, train
from jhash.data import ArraySource
from jhash.encoding import SourceEncoder, kept_features
from jhash.experiment import build
from jhash.pretrained import features
from jhash.runs import paths, workdirs
from jhash.runs.checkpoints import Checkpoints
from tests.support import signals, tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")


def config_of(method="dpsh", **changed):
    """Hash layers on the frozen `Pixels`; changed fields have "." in place of "__"."""
    config = tiny.get_config()
    config.method = importlib.import_module(f"configs.baselines.{method}").get_config().method
    config.model = {
        "name": "fine_tuned.FineTuned",
        "backbone": "tests.support.feature_source.Pixels",
        "hidden": 16,
    }
    config.weights = "published"
    config.image.scale = 1 / 50
    config.optimizer.rates = {"*backbone": 0.0}
    config.optimizer.learning_rate = 1e-2
    config.augment.pad = 0
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in changed.items()}
    )
    return config


def last(folder):
    """The experiment and the train state of a finished run."""
    experiment = build(workdirs.load(str(folder)))
    with Checkpoints(paths.checkpoints(str(folder))) as checkpoints:
        return experiment, checkpoints.restore(experiment.first())["train_state"]


@pytest.mark.parametrize("method", ["dpsh", "greedyhash"])
def test_training_on_features_is_that_on_images(method, tmp_path, monkeypatch):
    """`greedyhash` puts a head behind the model."""
    config = config_of(method)
    results = train.train(config, str(tmp_path / "features"))
    assert results["map_encoded"] > 0.6  # Of four classes.
    experiment, found = last(tmp_path / "features")
    assert kept_features.trainable(experiment)
    monkeypatch.setattr(kept_features, "trainable", lambda experiment: False)
    train.train(config, str(tmp_path / "images"))
    _, expected = last(tmp_path / "images")
    close = lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)  # noqa: E731
    jax.tree.map(close, found.params, expected.params)
    # The outputs of features are those of the whole model.
    train_state = parallel.replicate(found, experiment.devices)
    kept = SourceEncoder(experiment, str(tmp_path / "features"))
    whole = SourceEncoder(experiment)
    for indices in (experiment.data.queries, np.arange(230, 20, -3)):
        equal = np.testing.assert_array_equal
        jax.tree.map(equal, kept(train_state, indices), whole(train_state, indices))


def test_no_step_reads_images(tmp_path, monkeypatch):
    """The features of all images are computed first, and once."""
    calls, images = [], ArraySource.images
    load = features.load

    def computed(*arguments):
        calls.append(len(arguments[2]))
        with monkeypatch.context() as patch:
            patch.setattr(ArraySource, "images", images)
            return load(*arguments)

    def refused(source, indices):
        raise AssertionError("images are read")

    config = config_of()
    experiment = build(workdirs.check("none", config))
    monkeypatch.setattr(features, "load", computed)
    encode = SourceEncoder(experiment, str(tmp_path))
    monkeypatch.setattr(ArraySource, "images", refused)
    first = encode.training_source.images(np.arange(5))
    assert encode.training_source.images(np.arange(100)).shape == (100, 12)
    np.testing.assert_array_equal(encode.training_source.images(np.arange(5)), first)
    assert calls == [240]


def test_runs_share_the_features(tmp_path):
    """Batches are read by another thread than the one that knows of the shared folder."""
    config = config_of(epochs=1)
    with features.shared(str(tmp_path / "shared")):
        train.train(config, str(tmp_path / "run"))
    assert len(list((tmp_path / "shared").glob("features-*"))) == 1
    assert not list((tmp_path / "run").glob("pretrain/features-*"))


@pytest.mark.parametrize(
    "changed",
    [
        {"augment__flip": True},
        {"augment__erase": 2},
        {"image__mirror": True},
        {"optimizer__rates": {"*backbone": 0.1}},
        {"optimizer__rates": {"*backbone": 0.0, "*/projection/bias": 0.1}},
        {"mean": 7.0, "weights": ""},
        {"init_from": "there", "weights": ""},
    ],
)
def test_features_that_would_change_are_not_kept(changed):
    config = config_of(**changed)
    assert not kept_features.trainable(build(workdirs.check("none", config)))


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_bits(tmp_path, monkeypatch):
    config = config_of()
    train.train(config, str(tmp_path / "whole"))
    in_the_third = lambda config, epochs, epoch, *_: epoch == 2  # noqa: E731
    with (
        signals.coming(monkeypatch, train, "_report", in_the_third),
        pytest.raises(KeyboardInterrupt),
    ):
        train.train(config, str(tmp_path / "broken"))
    train.train(config, str(tmp_path / "broken"))
    (_, whole), (_, broken) = (last(tmp_path / name) for name in ("whole", "broken"))
    jax.tree.map(np.testing.assert_array_equal, whole, broken)


@pytest.mark.slow
def test_one_device_equals_eight(tmp_path, monkeypatch):
    # Adam would divide by the size of tiny gradients.
    config = config_of(optimizer__name="sgd", epochs=2)
    states = []
    for devices in (1, 8):
        config.devices = devices
        train.train(config, str(tmp_path / str(devices)))
        states.append(last(tmp_path / str(devices))[1].params)
    close = lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=2e-5)  # noqa: E731
    jax.tree.map(close, *states)
