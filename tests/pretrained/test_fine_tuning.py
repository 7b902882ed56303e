"""The config of fine-tuning, and runs that start from AlexNet's file."""

import functools
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from configs import aihn, fine_tuned
from jhash import models, pretrained
from jhash.errors import InputError
from jhash.experiment import build, build_model
from jhash.optimizers import parts
from jhash.pretrained import normalization
from jhash.runs import workdirs

pytestmark = pytest.mark.usefixtures("quick_compilation")

ALEXNET = {"widths": (2, 3, 4, 5, 6), "hidden": 7}
# torchvision's names, and the shapes with these widths.
SHAPES = {
    "features.0": (2, 3, 11, 11),
    "features.3": (3, 2, 5, 5),
    "features.6": (4, 3, 3, 3),
    "features.8": (5, 4, 3, 3),
    "features.10": (6, 5, 3, 3),
    "classifier.1": (7, 6 * 36),
    "classifier.4": (7, 7),
    "classifier.6": (1000, 7),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A small file of AlexNet: (path, arrays)."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, shape in SHAPES.items():
        arrays[f"{name}.weight"] = rng.normal(size=shape).astype(np.float32)
        arrays[f"{name}.bias"] = rng.normal(size=shape[:1]).astype(np.float32)
    path = str(tmp_path_factory.mktemp("file") / "alexnet.safetensors")
    safetensors.numpy.save_file(arrays, path)
    return path, arrays


def start(config, file):
    """The parameters with which a config starts from the file, on a few random images."""
    config.weights, arrays = file
    config.model.update(ALEXNET)
    config.data.source, config.data.split = "random", "official"
    config.data.options = {"side": 28, "channels": 1, "multi_label": False}
    config.batch_size = config.eval_batch_size = 16
    experiment = build(workdirs.check("none", config))
    params = experiment.first()["train_state"].params
    for ours, theirs in (("conv2", "features.3"), ("fc7", "classifier.4")):
        np.testing.assert_array_equal(params[ours]["bias"], arrays[f"{theirs}.bias"])
    np.testing.assert_array_equal(params["fc7"]["kernel"], arrays["classifier.4.weight"].T)
    assert params["hash"]["kernel"].shape == (7, config.bits)
    np.testing.assert_array_equal(experiment.mean, normalization.MEAN)
    return params


def test_the_row_aihn_ai_starts_from_alexnets_file(file):
    config = aihn.get_config("fashion_mnist,paper,backbone=alexnet")
    config.weights, arrays = file
    config.model.update(ALEXNET)
    config.data.source, config.data.split = "random", "official"
    config.batch_size = config.eval_batch_size = 16
    experiment = build(workdirs.check("none", config))
    kernel = arrays["features.3.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(experiment.weights.params["conv2"]["kernel"], kernel)
    np.testing.assert_array_equal(experiment.mean, normalization.MEAN)


def test_the_row_dhn_starts_from_alexnets_file_with_a_faster_hash_layer(file):
    config = fine_tuned.get_config("dhn,model=alexnet")
    params = start(config, file)
    rates = parts.factors(config.optimizer.rates, params)
    assert set(jax.tree.leaves(rates.pop("hash"))) == {1.0}
    assert set(jax.tree.leaves(rates)) == {0.1}


def test_another_networks_file_is_refused_by_the_fields_name(file):
    config = fine_tuned.get_config("csq,model=vgg16")
    config.weights, _ = file
    config.model.update(widths=(4, 4, 4, 4, 4), hidden=8)
    message = r"^config\.weights: .* given; allowed: files with the weights of VGG-16, but it has n"
    with pytest.raises(InputError, match=message):
        build(workdirs.check("none", config))


@pytest.mark.parametrize("model", fine_tuned.MODELS)
def test_every_model_has_weights_that_expect_its_images(model):
    config = fine_tuned.get_config(f"fdah,coco,model={model}")
    name, _, side, _ = fine_tuned.MODELS[model]
    assert name in (*pretrained.MODELS, *pretrained.BACKBONES)
    assert config.image.size == side
    reader = importlib.import_module(f"jhash.pretrained.{name.split('.')[0]}")
    assert config.image.scale == reader.SCALE
    assert hasattr(reader, name.split(".")[1])
    # Small images have a side that the model takes.
    config = fine_tuned.get_config(f"fdah,model={model}")
    images = jnp.zeros((1, config.image.size, config.image.size, 3))
    init = functools.partial(models.without_axis(build_model(config)).init, train=False)
    jax.eval_shape(init, jax.random.key(0), images)
    build_model(fine_tuned.get_config(f"fdah,smoke,model={model}"))
    # The whole model or its hash layer: what has no rate learns with the full one.
    rates = config.optimizer.rates.to_dict()
    assert rates in ({"*": 0.1, "*hash": 1.0}, {"*backbone": 0.1})
