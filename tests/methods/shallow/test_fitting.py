"""Hash functions fitted to features, through the loop."""

import json

import numpy as np
import pytest

from configs.baselines import shallow
from jhash import parallel, retrieval, train
from jhash.encoding import SourceEncoder, kept_features
from jhash.errors import InputError
from jhash.experiment import build
from jhash.methods.shallow import itq, lsh, pcah, sdh, sh
from jhash.pretrained import features
from jhash.runs import paths, workdirs
from jhash.runs.checkpoints import Checkpoints
from tests.support import chance

pytestmark = pytest.mark.usefixtures("quick_compilation")

METHODS = {"lsh": lsh, "pcah": pcah, "itq": itq, "sh": sh}


def tiny_config(fit):
    config = shallow.get_config(fit)
    config.bits = 8
    config.data.source, config.data.split = "tests.support.tiny.source", "tests.support.tiny.split"
    config.data.options = {"multi_label": False}
    config.method.features.name = config.model.backbone = "tests.support.feature_source.Pixels"
    config.method.features.size = config.image.size = 8
    config.method.features.channels = config.image.channels = 1
    config.mean, config.image.scale = 100.0, 1 / 50
    config.method.features.batch = config.eval_batch_size = 16
    config.metrics.precision_ranks = (10,)
    return config


@pytest.mark.parametrize("fit", [*METHODS, "sdh"])
def test_codes_are_those_of_the_fitted_function(fit, tmp_path):
    config = tiny_config(fit)
    results = train.train(config, str(tmp_path))
    assert (results["epochs"], results["steps"]) == (0, 0)
    assert 0 < results["map_encoded"] <= 1
    by_chance = chance.mean_average_precision(tmp_path, 8, percent=20.0)
    assert results["encoded"]["map_top_20_percent"] > by_chance + 0.1
    assert json.loads((tmp_path / "results.json").read_text())["map_encoded"]

    from jhash import data, rng

    split = data.load_config(config.data)
    v_Nxz = features.load(
        config.method.features, split.source, split.train, str(tmp_path / "pretrain")
    )
    method = METHODS.get(fit, sdh)
    params = method.fit(v_Nxz, split.labels(split.train), 8, rng.stream(0, "fit"))
    expected = retrieval.pack_codes(method.encode(params, v_Nxz))
    with np.load(tmp_path / "codes" / "database.npz") as saved:
        assert (saved["codes"] == np.asarray(expected)).mean() > 0.98  # But for rounding.


def test_a_training_time_is_without_features(tmp_path, monkeypatch):
    """Which another run may have computed."""
    compute = features._by_chunks

    def slow(*arguments):
        features._seconds -= 1000.0  # As if it had begun so much earlier.
        return compute(*arguments)

    began = features.seconds()
    first = train.train(tiny_config("itq"), str(tmp_path / "first"))
    assert features.seconds() > began
    assert first["train_seconds"] > 0
    monkeypatch.setattr(features, "_by_chunks", slow)
    second = train.train(tiny_config("itq"), str(tmp_path / "second"))
    assert second["train_seconds"] > 900


def test_a_run_goes_on_after_the_fit(tmp_path):
    """It is validated when it is evaluated."""
    config = tiny_config("itq")
    config.data.validation = 20
    first = train.train(config, str(tmp_path))
    again = train.train(config, str(tmp_path))
    assert first["map_encoded"] == again["map_encoded"]
    assert first["train_seconds"] == again["train_seconds"]
    validation = first["validation"]
    assert validation == again["validation"]
    assert (validation["size"], validation["epoch"], validation["chosen_by"]) == (20, 0, None)
    assert 0 < validation["metrics"]["map_encoded"] <= 1
    config.eval_every = 1
    with pytest.raises(InputError, match=r"^config\.eval_every: 1 given; allowed: 0 to 0, whic"):
        train.train(config, str(tmp_path))


def test_what_does_not_fit_together_is_named(tmp_path):
    config = tiny_config("sh")
    config.model.method = "lsh"
    with pytest.raises(InputError, match=r"config.model.method: 'lsh' given; allowed: 'sh'"):
        train.train(config, str(tmp_path))
    config = tiny_config("itq")
    config.model.backbone = "efficientnet_lite.EfficientNetLite0"
    with pytest.raises(InputError, match=r"config.model.backbone: .* allowed: .tests.support"):
        train.train(config, str(tmp_path))
    config = tiny_config("itq")
    config.method.features.file = "features.npy"
    with pytest.raises(
        InputError, match=r"config.method.features.file: features.npy given; .* none"
    ):
        train.train(config, str(tmp_path))
    config = tiny_config("itq")
    config.epochs = 1
    with pytest.raises(InputError, match=r"config.epochs: 1 given; allowed: 0, as itq is"):
        train.train(config, str(tmp_path))
    config = tiny_config("itq")
    config.model = {"name": "small_cnn.SmallCNN"}
    with pytest.raises(InputError, match=r"config.model.name: .* feature_hash.FeatureHash"):
        train.train(config, str(tmp_path))
    config = tiny_config("itq")
    config.bits = 13
    with pytest.raises(InputError, match=r"config.bits: 13 given; allowed: 1 to 12"):
        train.train(config, str(tmp_path))


@pytest.mark.parametrize("fit", ["itq", "sdh"])
def test_outputs_of_kept_features_are_those_of_the_whole_model(fit, tmp_path):
    config = tiny_config(fit)
    train.train(config, str(tmp_path))
    experiment = build(workdirs.load(str(tmp_path)))
    with Checkpoints(paths.checkpoints(str(tmp_path))) as checkpoints:
        saved = checkpoints.restore(experiment.first())
    train_state = parallel.replicate(saved["train_state"], experiment.devices)
    queries = experiment.data.queries
    whole = SourceEncoder(experiment)(train_state, queries)
    kept = SourceEncoder(experiment, str(tmp_path))
    np.testing.assert_array_equal(kept(train_state, queries), whole)
    outputs, seconds = kept.timed(train_state, queries)
    np.testing.assert_array_equal(outputs, whole)
    assert seconds > 0


@pytest.mark.parametrize(
    ("group", "changed"),
    [
        ("image", {"size": 9}),
        ("image", {"crop": 7}),
        ("image", {"scale": 1 / 60}),
        ("", {"mean": 7.0}),
    ],
)
def test_kept_features_of_another_input_are_not_used(group, changed, tmp_path, monkeypatch):
    config = tiny_config("lsh")
    (config[group] if group else config).update(changed)

    def refuse(*_):
        raise AssertionError("features of another input")

    monkeypatch.setattr(kept_features.FeatureEncoder, "__call__", refuse)
    if changed in ({"size": 9}, {"crop": 7}):  # `Pixels` has one weight per pixel.
        assert not kept_features.usable(build(config))
    else:
        train.train(config, str(tmp_path))
