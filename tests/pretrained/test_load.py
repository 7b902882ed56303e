"""Weights by a model's name: of jhash's modules, of a user's own, and where there are none."""

import re
import sys

import numpy as np
import pytest

from configs.baselines import greedyhash
from jhash import pretrained
from jhash.errors import InputError
from jhash.experiment import build
from jhash.runs import workdirs
from tests.support import tiny


@pytest.fixture
def users_module(tmp_path, monkeypatch):
    """Writes `users_weights.py` to a folder on the import path."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(*lines):
        (tmp_path / "users_weights.py").write_text("\n".join(("import numpy as np", *lines)))

    yield write
    sys.modules.pop("users_weights", None)


LOAD = """
def load(path):
    return {"dense": {"bias": np.load(path)}}
"""


def test_a_users_module_loads_weights(tmp_path, users_module):
    users_module(LOAD, "MEAN, SCALE = 12.5, 1 / 64")
    np.save(tmp_path / "bias.npy", np.arange(3))
    found = pretrained.load("users_weights.MyNet", str(tmp_path / "bias.npy"))
    np.testing.assert_array_equal(found.params["dense"]["bias"], np.arange(3))
    assert (found.mean, found.scale) == (12.5, 1 / 64)
    params = {"dense": {"bias": np.zeros(3, np.float32)}, "hash": {"bias": np.ones(2, np.float32)}}
    merged = pretrained.merge(params, found.params)
    np.testing.assert_array_equal(merged["dense"]["bias"], np.arange(3))
    assert merged["dense"]["bias"].dtype == np.float32
    np.testing.assert_array_equal(merged["hash"]["bias"], 1)


def test_a_users_module_may_read_the_mean_from_the_file(tmp_path, users_module):
    mean = "def load_mean(path):\n    return np.float32(np.load(path) + 1)"
    users_module(LOAD, mean, "MEAN, SCALE = None, 1.0")
    np.save(tmp_path / "bias.npy", np.arange(3))
    found = pretrained.load("users_weights.MyNet", str(tmp_path / "bias.npy"))
    np.testing.assert_array_equal(found.mean, [1, 2, 3])
    assert found.scale == 1


BACKBONE = """
from flax import linen as nn


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(5, name="dense")(x.mean((1, 2)))


def load(path):
    kernel = np.arange(5.0).reshape(1, 5)
    return {"dense": {"kernel": kernel, "bias": np.full(5, len(path))}, "classes": {}}


def published():
    return "published.pth"
"""


def test_a_model_is_fine_tuned_from_the_weights_of_its_backbone(users_module):
    """They are under the name of the backbone; the hash layer is new."""
    users_module(BACKBONE, "MEAN, SCALE = 127.0, 1 / 64")
    config = tiny.get_config()
    config.model = {"name": "fine_tuned.FineTuned", "backbone": "users_weights.Net"}
    for weights, expected in (("published", 13), ("file.pth", 8)):
        config.weights = weights
        experiment = build(workdirs.check("none", config))
        variables = experiment.first()["train_state"].variables
        params = variables["params"]
        assert params.keys() == {"backbone", "hash"}
        np.testing.assert_array_equal(params["backbone"]["dense"]["bias"], expected)
        np.testing.assert_array_equal(params["backbone"]["dense"]["kernel"], [np.arange(5)])
        x = np.random.default_rng(0).normal(size=(3, 4, 4, 1)).astype(np.float32)
        features = x.mean((1, 2)) * np.arange(5) + expected
        outputs = experiment.model.apply(variables, x, train=True)
        np.testing.assert_allclose(outputs, features @ params["hash"]["kernel"], rtol=1e-4)
    assert experiment.mean.max() == 127
    config.image.scale = 1.0
    with pytest.raises(InputError, match=r"^config\.image\.scale: 1\.0 given with config\.weights"):
        build(workdirs.check("none", config))


NORMALIZED = """
from flax import linen as nn


class Net(nn.Module):
    bits: int = 5
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(not train, name="norm")(x.mean((1, 2)))
        return nn.Dense(self.bits, name="hash")(x)


def load(path, model):
    return {"norm": {"scale": [2.0]}}, {"norm": {"mean": [3.0], "var": [float(model.bits)]}}
"""


def test_statistics_of_batch_norm_are_loaded(users_module):
    users_module(NORMALIZED, "MEAN, SCALE = 127.0, 1 / 64")
    config = tiny.get_config()
    config.method = greedyhash.get_config().method  # It puts a head behind the model.
    config.model, config.weights, config.bits = {"name": "users_weights.Net"}, "file.pth", 8
    variables = build(workdirs.check("none", config)).first()["train_state"].variables
    params, stats = (variables[name]["model"] for name in ("params", "batch_stats"))
    assert params["hash"]["kernel"].shape == (1, 8)
    found = [params["norm"]["scale"], params["norm"]["bias"], stats["norm"]["mean"]]
    assert [float(values[0]) for values in found] == [2, 0, 3]
    assert float(stats["norm"]["var"][0]) == 8  # `load` gets the model with the config's fields.
    loaded = pretrained.load("users_weights.Net", "file.pth")
    assert loaded.batch_stats["norm"]["var"] == [1.0]


def test_models_that_no_package_keeps_are_named(users_module):
    users_module(LOAD, "MEAN, SCALE = 12.5, 1 / 64")
    with pytest.raises(InputError, match=r"^path: 'published' given; allowed: a file, as no pack"):
        pretrained.load("users_weights.MyNet", "published")


# A model of jhash, what no module is, and modules of the package that are not about one model.
@pytest.mark.parametrize("model", ["resnet30.ResNet30", "MyNet", "features.Extractor"])
def test_models_without_published_weights_are_named(model):
    message = rf"path: w\.pth given; allowed: no file, .* weights of {re.escape(model)} are known"
    with pytest.raises(InputError, match=f"^{message}"):
        pretrained.load(model, "w.pth")


@pytest.mark.parametrize("content", [(), ("MEAN, SCALE = 0.0, 1.0",), (LOAD, "MEAN = 0.0")])
def test_a_users_module_without_the_contract_is_refused(users_module, content):
    users_module(*content)
    with pytest.raises(InputError, match=r"^path: w\.pth given; .* has load, MEAN, SCALE can read"):
        pretrained.load("users_weights.MyNet", "w.pth")
