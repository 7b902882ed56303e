"""Every config is imported and run for a step; arguments are read, or refused by name."""

import importlib
import json
from pathlib import Path

import jax
import ml_collections
import numpy as np
import pytest

from configs import aihn, common, dah, fdah
from jhash import data, experiment, parallel, train, workdirs
from jhash.data import Arrays, batches, splits
from jhash.errors import InputError
from jhash.models import resnet18, resnet30

pytestmark = pytest.mark.usefixtures("quick_compilation")

ROOT = Path(__file__).resolve().parent.parent
SHARED = ("__init__", "common", "fitted")
CONFIGS = sorted(
    ".".join(path.relative_to(ROOT / "configs").with_suffix("").parts)
    for path in (ROOT / "configs").rglob("*.py")
    if path.stem not in SHARED
)
ARGUMENTS = {
    "aihn": ["", "nus_wide81,attention=none", "cifar10,backbone=alexnet"],
    "baselines.itq": ["", "fashion_mnist,bits=16"],
    "baselines.lsh": ["scenes"],
    "baselines.pcah": [""],
    "baselines.sh": ["embedded"],
    "dah": ["fashion_mnist,bits=12", "cifar10,attention=none,dissimilar=abs"],
    "dstgeh": [
        "fashion_mnist",
        "scenes,embedding=sdne",
        "cifar10,embedding=walks,loss=margin",
        "coco,embedding=laplacian,paper",
        "flickr25k,metric=euclidean,loss=soft_margin",
    ],
    "fdah": ["", "fashion_mnist,bits=12", "cifar10,bits=24", "nus_wide", "fashion_mnist,paper"],
}


def stand_in(config, monkeypatch):
    """Random images of the config's shape in place of data that is not on every machine.

    The network is narrowed or shortened, not replaced.
    """
    if config.method.name == "fdah":
        config.method.queries, config.batch_size, config.eval_batch_size = 16, 8, 8
    monkeypatch.setattr(resnet30, "_IDENTITY_BLOCKS", 0)
    monkeypatch.setattr(resnet30, "_STAGES", ((8, 8, 16), (8, 8, 16)))
    monkeypatch.setattr(resnet18, "_BLOCKS", 1)
    if config.model.name in ("cnn_f.CNNF", "alexnet.AlexNet"):
        config.model.widths, config.model.hidden = (4, 4, 4, 4, 4), 8
    if config.method.name == "dstgeh":
        config.model.widths, config.batch_size = (4, 4, 8, 8), 8
    if "features" in config.method:
        config.method.features.name = "feature_source.Pixels"
        config.method.features.size, config.method.features.channels = 8, 1
        config.method.features.batch = 16
    if config.method.name == "fitted":
        config.model.backbone, config.eval_batch_size = "feature_source.Pixels", 16
        config.image.size, config.image.channels, config.bits = 8, 1, 8
    if config.method.name == "aihn":
        config.batch_size = config.eval_batch_size = 8
    if config.model.name == "invertible_net.InvertibleNet":
        config.model.stages = (2,)
    side, channels = {
        "cifar10_dah": (32, 3),
        "cifar10_dhn": (32, 3),
        "cifar10_fdah": (32, 3),
        "nus_wide21": (256, 3),
        "nus_wide81": (256, 3),
        "coco": (256, 3),
        "flickr25k": (256, 3),
    }.get(config.data.split, (28, 1))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, side, side, channels), np.uint8)
    labels = np.arange(64, dtype=np.int32) % 10
    if config.data.split.startswith(("nus_wide", "coco", "flickr")):
        labels = np.eye(10, dtype=np.uint8)[labels]
    small = data.Data(Arrays(images, labels), np.arange(48), np.arange(48), np.arange(48, 64))
    monkeypatch.setattr(data, "load", lambda *_, **__: small)


def test_every_config_has_its_arguments_here():
    assert sorted(ARGUMENTS) == CONFIGS


@pytest.mark.parametrize(
    ("name", "argument"), [(name, argument) for name in CONFIGS for argument in ARGUMENTS[name]]
)
def test_a_step_of_every_config(name, argument, monkeypatch, tmp_path):
    config = importlib.import_module(f"configs.{name}").get_config(argument)
    assert config.data.split in splits.PROTOCOLS
    stand_in(config, monkeypatch)
    if not config.epochs:
        assert train.train(config, str(tmp_path))["map_encoded"] > 0
        return
    run = experiment.build(workdirs.check("none", config))
    step = parallel.map_devices(train.make_step(run))
    extra = run.extra
    if "pseudo_labels" in extra:  # Zeros, before the first stage.
        extra["pseudo_labels"] = jax.random.bits(jax.random.key(0), (48, config.bits), "uint8") % 2
    state, extra = (parallel.replicate(tree, run.devices) for tree in (run.initial_state(), extra))
    orders = batches.split(run.epoch_indices(run.extra, 0), config.batch_size)[:1]
    (batch,) = batches.read(run.data.source, orders)
    before = jax.device_get(parallel.first(state.params))
    state, metrics = step(state, extra, parallel.shard(batch, run.devices))
    after = jax.device_get(parallel.first(state.params))
    assert all(np.isfinite(value).all() for value in jax.tree.leaves(metrics))
    changed = jax.tree.map(lambda old, new: not np.array_equal(old, new), before, after)
    assert all(jax.tree.leaves(changed)), "a parameter has no gradient"


def test_arguments_are_applied_in_order():
    config = fdah.get_config("fashion_mnist,bits=12,seed=3")
    assert (config.bits, config.seed, config.data.source) == (12, 3, "fashion_mnist")
    assert fdah.get_config("paper").model.name == "cnn_f.CNNF"
    assert fdah.get_config(None) == fdah.get_config("")


@pytest.mark.parametrize("argument", ["imagenet", "bit=12", "bits", "fashion_mnist,bits=12,x=1"])
def test_unknown_arguments_are_refused_by_name(argument):
    unknown = argument.split(",")[-1]
    with pytest.raises(InputError, match=f"unknown argument '{unknown}'; allowed are .*bits="):
        fdah.get_config(argument)
    with pytest.raises(InputError, match="bits='twelve' cannot be read"):
        fdah.get_config("bits=twelve")


def test_a_preset_may_look_like_a_field():
    config = dah.get_config("attention=none,bits=12,dissimilar=printed")
    assert (config.model.attention, config.method.dissimilar) == ("none", "printed")
    assert config.bits == 12
    assert dah.get_config("attention=cbam,dissimilar=hinge") == dah.get_config()
    with pytest.raises(InputError, match=r"unknown argument 'attention=all'; allowed are .*=none"):
        dah.get_config("attention=all")


def test_the_paper_draws_more_queries_from_nus_wide():
    assert fdah.get_config("fashion_mnist,paper").method.queries == 2000
    for argument in ("nus_wide", "nus_wide,paper", "paper,nus_wide"):
        assert fdah.get_config(argument).method.queries == 5000


def test_aihn_keeps_the_papers_settings_unless_shallow():
    for argument, weight in (("fashion_mnist", 10), ("cifar10", 10), ("nus_wide81", 100)):
        config = aihn.get_config(argument)
        assert config.model.stages == (6, 16, 72, 6)
        assert (config.image.size, config.image.crop) == (256, 224)
        assert config.method.quantization * 63 == pytest.approx(weight)
        assert config.optimizer.name == "sgd"
    shallow = aihn.get_config("fashion_mnist,shallow")
    shallow.data.source = shallow.data.split = "embedded"
    shallow.epochs, shallow.augment.flip = 20, False
    assert shallow == aihn.get_config()
    without = aihn.get_config("attention=none")
    assert (without.model.attention, without.model.lattice) == ("none", None)
    assert aihn.get_config("backbone=alexnet").model.hidden == 1024
    assert "hidden" not in aihn.get_config("cifar10,backbone=alexnet").model


def test_a_config_survives_json():
    """What a run reads back from its folder is what it started with."""
    config = fdah.get_config("nus_wide,paper")
    frozen = workdirs.check("none", config)
    assert ml_collections.FrozenConfigDict(json.loads(json.dumps(config.to_dict()))) == frozen


def test_default_workdirs_differ_by_config():
    first, second = common.base(), common.base()
    first.method.name = second.method.name = "fdah"
    assert workdirs.default(first) == workdirs.default(second)
    second.seed = 1
    assert workdirs.default(first) != workdirs.default(second)
