"""Every config is run for a step; its arguments commute, or are refused by name."""

import importlib
import itertools
import json
import random
from pathlib import Path

import jax
import ml_collections
import numpy as np
import pytest

from configs import aihn, common, dah, dstgeh, fdah, fine_tuned
from configs.baselines import shallow, unlabeled
from jhash import optimizers, parallel, train
from jhash.data import batches, load_config, splits
from jhash.errors import InputError
from jhash.experiment import build
from jhash.methods import load as load_method
from jhash.runs import workdirs

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = sorted(
    ".".join(path.relative_to(ROOT / "configs").with_suffix("").parts)
    for path in (ROOT / "configs").rglob("*.py")
    # Those in tables/ are no configs: tests/sweeps/ has their tests.
    if path.stem not in ("__init__", "common") and path.parent.name != "tables"
)
# Arguments with which a step is run; without an entry, the defaults.
STEPS = {
    "aihn": ["bottleneck=second", "nus_wide81,attention=none", "cifar10,backbone=alexnet"],
    "baselines.adsh": ["scenes"],
    "baselines.cnnh": ["scenes,plus"],
    "baselines.csq": ["scenes"],
    "baselines.dch": ["scenes"],
    "baselines.ddsh": ["scenes"],
    "baselines.dfh": ["scenes"],
    "baselines.dpn": ["scenes"],
    "baselines.dpsh": ["scenes", "pairs=table"],
    "baselines.dsdh": ["scenes"],
    "baselines.dtsh": ["scenes"],
    "baselines.hhf": ["scenes"],
    "baselines.idhn": ["scenes"],
    "baselines.itq": ["folder"],
    "baselines.shallow": [
        "itq",
        "lsh,scenes",
        "pcah",
        "sh,fashion_mnist",
        "ksh,scenes",
        "imh",
        "neighbor_diffusion",
    ],
    "baselines.ssdh_supervised": ["scenes"],
    "baselines.talr": ["scenes"],
    "baselines.unlabeled": ["deepbit,scenes,model=frozen"],
    "dah": ["fashion_mnist,bits=12", "cifar10,attention=none,dissimilar=abs,paper"],
    "dstgeh": [
        "fashion_mnist",
        "cifar10,embedding=walks,loss=margin",
        "coco,embedding=laplacian,paper",
        "flickr25k,metric=euclidean,loss=soft_margin",
        "scenes,first_order=neighbors",
    ],
    "fdah": ["", "cifar10,bits=24", "nus_wide", "fashion_mnist,paper"],
    "fine_tuned": ["dhn,scenes", "greedyhash,frozen"],
}

# Of these baselines the loss alone is run. All else is as in dpsh, of which a whole step is run.
LOSS_ALONE = fine_tuned.BASELINES

# The models whose hash layer is no layer on top of their features.
OTHER_MODELS = (
    "alexnet",
    "vgg16",
    "resnet18",
    "resnet34",
    "resnet50",
    "vit_b16",
    "vit_s16",
    "cnn_f",
)

# Pairs of arguments that are refused together.
REFUSED = [
    ("backbone=alexnet", "attention=none"),
    ("backbone=alexnet", "bottleneck=second"),
    *itertools.product(
        ("backbone=alexnet", "attention=none"),
        ("attention_kernel=zeros", "attention_kernel=random"),
    ),
    *itertools.product(
        (f"embedding={name}" for name in ("itq", "laplacian", "neighbor_diffusion", "walks")),
        ("metric=euclidean", "metric=diffused", "first_order=neighbors"),
    ),
    ("paper", "first_order=neighbors"),
    *itertools.product(("frozen",), (f"model={name}" for name in OTHER_MODELS)),
    *itertools.product(("uhscm", "cibhash", "deepbit"), ("teacher=diffused",)),
]


def get_config(name, *arguments):
    return importlib.import_module(f"configs.{name}").get_config(",".join(filter(None, arguments)))


def steps(name):
    return STEPS.get(name, [""])


def documented(name, monkeypatch):
    """The documented arguments: a list of alternatives for each, the default first."""
    seen, parse = {}, common.parse

    def record(argument, **groups):
        seen.update(groups)
        return parse(argument, **groups)

    with monkeypatch.context() as patch:
        patch.setattr(common, "parse", record)
        get_config(name, steps(name)[0])
    words = [
        [*([] if group in ("data", "method") else [""]), *seen.pop(group, ())]
        for group in ("data", "variant", "method")
    ]
    values = {"seed": 0, **seen}
    named = [
        [f"{field}={choice}" for choice in (value if isinstance(value, tuple) else (value, 16))]
        for field, value in values.items()
    ]
    return [alternatives for alternatives in (*words, ["", "smoke"], *named) if alternatives]


def test_steps_are_of_configs():
    assert set(STEPS) <= set(CONFIGS)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize(
    ("name", "argument"), [(name, argument) for name in CONFIGS for argument in steps(name)]
)
def test_a_step_of_every_config(name, argument, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)  # Less to compile.
    assert get_config(name, argument).data.split in splits.PROTOCOLS
    config = get_config(name, argument, "smoke")
    if not config.epochs:
        results = train.train(config, str(tmp_path))
        assert results["map_encoded"] > 0
        # Of class ids these averages would be those per category.
        assert ("within_category_map" in results["encoded"]) == ("scenes" in argument)
        return
    if name.removeprefix("baselines.") in LOSS_ALONE and "table" not in argument:
        check_loss_alone(config)
        return
    experiment = build(workdirs.check("none", config))
    step = parallel.map_devices(train.make_step(experiment))
    state = experiment.state
    if "pseudo_labels" in state:  # They are zeros before the first stage.
        state["pseudo_labels"] = jax.random.bits(jax.random.key(0), (48, config.bits), "uint8") % 2
    indices = experiment.epoch_indices(state, 0)
    orders = batches.batch_indices(indices, config.batch_size)[:1]
    (batch,) = batches.prefetch(experiment.data.source, orders)
    train_state = parallel.replicate(experiment.first()["train_state"], experiment.devices)
    before = jax.device_get(parallel.unreplicate(train_state.params))
    train_state, _, metrics = step(
        train_state,
        parallel.replicate(state, experiment.devices),
        parallel.shard(batch, experiment.devices),
    )
    after = jax.device_get(parallel.unreplicate(train_state.params))
    assert all(np.isfinite(value).all() for value in jax.tree.leaves(metrics))
    changed = jax.tree.map(lambda old, new: not np.array_equal(old, new), before, after)
    assert all(jax.tree.leaves(changed)), "a parameter has no gradient"


def check_loss_alone(config):
    """Runs the loss of random outputs; each of them and of a head's parameters has a gradient."""
    method = load_method(config.method.name)
    data, state = method.prepare(config, load_config(config.data), jax.random.key(0))
    batch = {"labels": data.labels(data.train)[:16], "index": data.train[:16]}
    width = config.model.get("bits", config.bits)
    u = np.random.default_rng(0).normal(size=(16, width)).astype(np.float32)
    head = method.head(config, data)
    variables = {"params": {}}
    if head:
        variables |= head.init(jax.random.key(0), u, train=False)

    def loss(params, u):
        outputs = head.apply({**variables, "params": params}, u, train=False) if head else u
        return method.loss(outputs, batch, state, config)

    gradients, metrics = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(variables["params"], u)
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(np.isfinite(gradient).all() for gradient in jax.tree.leaves(gradients))
    assert (gradients[1] != 0).any(0).all(), "a bit has no gradient"
    assert all(np.any(gradient) for gradient in jax.tree.leaves(gradients[0]))


@pytest.mark.parametrize("name", CONFIGS)
def test_data_and_method_are_orthogonal(name, monkeypatch):
    """Every config takes every data set, but for DAH, whose classifier needs one class per image.

    The steps above are of a few of them; all are built.
    """
    words = documented(name, monkeypatch)[0]
    single_label = ["embedded", "fashion_mnist", "cifar10", "folder"]
    assert sorted(words) == sorted(single_label if name == "dah" else common.DATA)
    words_of = {"shallow": "itq", "unlabeled": "bihalf", "fine_tuned": "fdah"}
    method = words_of.get(name.removeprefix("baselines."), "")
    built = []  # Photos of all data sets are the same random images.
    for word in words:
        config = get_config(name, method, word)
        workdirs.check("none", config)
        assert config.data.split in splits.PROTOCOLS
        # The model is the backbone that the method is fitted to.
        if name in ("baselines.shallow", "baselines.itq"):
            assert config.image.size == config.method.features.size
        if word == "folder" and name.removeprefix("baselines.") in LOSS_ALONE[1:]:
            continue  # The model is that of the first; the loss is run above.
        smoke = get_config(name, method, word, "smoke")
        if smoke not in built:
            build(workdirs.check("none", smoke))
            built.append(smoke)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_arguments_commute_and_a_default_spelled_out_changes_nothing(name, monkeypatch):
    alternatives = documented(name, monkeypatch)
    defaults = {choices[0] for choices in alternatives[:1] + alternatives[3:]}
    shortest = {}
    combinations = list(itertools.product(*alternatives))
    random.Random(0).shuffle(combinations)  # Of DSTGeH's thousands, some take long enough.
    for chosen in combinations[:1000]:
        if any(set(pair) <= set(chosen) for pair in REFUSED):
            continue
        config = get_config(name, *chosen)
        # The arguments that are no defaults.
        key = tuple(argument for argument in chosen if argument and argument not in defaults)
        assert shortest.setdefault(key, config) == config, chosen
        given = [argument for argument in chosen if argument]
        # Each argument before and behind each other.
        assert get_config(name, *given[1:], *given[:1]) == config
        assert get_config(name, *reversed(given)) == config


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("aihn", ["fashion_mnist", "shallow", "backbone=alexnet", "bits=16", "seed=3"]),
        ("aihn", ["cifar10", "paper", "attention=none", "bits=16", "smoke"]),
        ("baselines.shallow", ["sh", "scenes", "bits=16", "seed=3", "smoke"]),
        ("dah", ["cifar10", "attention=none", "dissimilar=abs", "bits=12", "smoke"]),
        ("dstgeh", ["fashion_mnist", "embedding=sdne", "metric=euclidean", "loss=margin", "smoke"]),
        ("dstgeh", ["fashion_mnist", "embedding=sae", "paper", "bits=16", "seed=3"]),
        ("fdah", ["fashion_mnist", "paper", "bits=12", "seed=3", "smoke"]),
    ],
)
def test_every_order_of_many_arguments_gives_one_config(name, arguments):
    config = get_config(name, *arguments)
    for order in itertools.permutations(arguments):
        assert get_config(name, *order) == config, order


def test_orders_that_once_changed_the_experiment():
    config = aihn.get_config("shallow,fashion_mnist")
    assert (config.model.stages, config.image.size) == ((4, 8, 4), 32)
    assert config.optimizer.name == "adam"
    config = aihn.get_config("backbone=alexnet,fashion_mnist")
    assert config.model.to_dict() == {"name": "alexnet.AlexNet", "dropout": 0.5}
    assert dstgeh.get_config("fashion_mnist,embedding=sae").method.embedding.pretrain_epochs == 1
    config = dstgeh.get_config("embedding=sdne,fashion_mnist")
    assert config.method.embedding.pretrain_epochs == 0
    config = dstgeh.get_config("metric=euclidean,embedding=sdne")
    assert config.method.embedding.metric == "euclidean"
    assert fdah.get_config("paper,fashion_mnist").method.queries == 2000


@pytest.mark.parametrize("variant", ["frozen", "model=resnet18"])
def test_pretrained_models_keep_what_a_method_needs(variant):
    """DDSH passes over the images three times an epoch; histograms need large batches."""
    of = {name: fine_tuned.get_config(f"{name},{variant}") for name in fine_tuned.METHODS}
    assert of["ddsh"].method.passes == 3
    assert of["ddsh"].epochs == of["dpsh"].epochs // 3
    for name in ("mihash", "talr"):
        assert of[name].batch_size == get_config(f"baselines.{name}").batch_size == 256


def test_pretrained_models_learn_without_labels_as_published():
    for model in ("small", "frozen", "tuned"):
        of = {name: unlabeled.get_config(f"{name},model={model}") for name in unlabeled.METHODS}
        assert of["tbh"].optimizer.learning_rate == 1e-4
        assert of["cibhash"].augment.flip
        # DeepBit compares turned views.
        assert (of["deepbit"].augment.pad, of["deepbit"].augment.flip) == (0, False)
        assert of["deepbit"].augment.rotate_step


@pytest.mark.slow
@pytest.mark.parametrize("method", fine_tuned.METHODS)
@pytest.mark.parametrize("variant", ["frozen", "model=resnet18"])
def test_every_method_takes_a_pretrained_model(method, variant):
    build(workdirs.check("none", get_config("fine_tuned", method, variant, "smoke")))


@pytest.mark.parametrize(
    ("module", "argument", "named"),
    [
        (dstgeh, "embedding=laplacian,metric=euclidean", "embedding=laplacian.*metric=euclidean"),
        (dstgeh, "embedding=itq,first_order=neighbors", "embedding=itq.*first_order=neighbors"),
        (dstgeh, "first_order=neighbors,coco,paper", "paper.*first_order=neighbors"),
        (aihn, "attention=none,backbone=alexnet", "backbone=alexnet.*attention=none"),
        (aihn, "backbone=alexnet,bottleneck=second", "backbone=alexnet.*bottleneck=second"),
        (aihn, "shallow,paper", "'paper' given beside 'shallow'; allowed: one of them"),
        (fdah, "cifar10,embedded", "'embedded' given beside 'cifar10'"),
        (fdah, "bits=12,bits=24", "'bits=24' given beside 'bits=12'"),
        (shallow, "", "--config: no method given; allowed: lsh, pcah, sh, itq"),
    ],
)
def test_conflicts_are_refused_by_name(module, argument, named):
    with pytest.raises(InputError, match=named):
        module.get_config(argument)


@pytest.mark.parametrize("argument", ["imagenet", "bit=12", "bits", "fashion_mnist,bits=12,x=1"])
def test_unknown_arguments_are_refused_by_name(argument):
    unknown = argument.split(",")[-1]
    with pytest.raises(InputError, match=f"--config: '{unknown}' given; allowed: .*bits="):
        fdah.get_config(argument)
    with pytest.raises(InputError, match="--config: 'bits=twelve' given; allowed: bits=INTEGER"):
        fdah.get_config("bits=twelve")
    with pytest.raises(InputError, match=r"'attention=all' given; allowed: .*=cbam\|none"):
        dah.get_config("attention=all")


def test_the_paper_draws_more_queries_from_nus_wide():
    assert fdah.get_config("fashion_mnist,paper").method.queries == 2000
    for argument in ("nus_wide", "nus_wide,paper", "paper,nus_wide"):
        assert fdah.get_config(argument).method.queries == 5000


def test_aihn_keeps_the_papers_settings_unless_shallow():
    for argument, weight, images in (
        ("fashion_mnist", 10, 5_000),
        ("cifar10", 10, 5_000),
        ("nus_wide81", 100, 10_000),
    ):
        config = aihn.get_config(argument)
        assert config.model.stages == (6, 16, 72, 6)
        assert (config.image.size, config.image.crop) == (256, 224)
        assert config.method.quantization * (images - 1) == pytest.approx(weight)
        assert (config.optimizer.name, config.optimizer.learning_rate) == ("sgd", 0.05)
    shallow = aihn.get_config("fashion_mnist,shallow")
    shallow.data.source = shallow.data.split = "embedded"
    shallow.epochs, shallow.augment.flip = 20, False
    assert shallow == aihn.get_config()
    without = aihn.get_config("attention=none")
    assert (without.model.attention, without.model.lattice) == ("none", None)
    assert aihn.get_config("bottleneck=second").model.bottleneck == "second"
    assert "bottleneck" not in aihn.get_config("bottleneck=both").model  # As before there was one.
    assert aihn.get_config("backbone=alexnet").model.hidden == 1024
    assert "hidden" not in aihn.get_config("cifar10,backbone=alexnet").model


def test_dah_has_the_papers_rate_and_precision_with_paper_alone():
    quick, paper = dah.get_config("cifar10"), dah.get_config("cifar10,paper")
    assert (quick.model.dtype, quick.epochs, paper.model.dtype) == ("bfloat16", 6, "float32")
    # 50,000 images are 2,500 batches.
    for config, last in ((quick, 0), (paper, 1e-3)):
        steps = 2_500 * config.epochs
        rate = optimizers.schedule(config.optimizer, steps, 2_500)
        assert float(rate(0)) == pytest.approx(1e-3)
        assert float(rate(steps)) == pytest.approx(last)
    assert paper.epochs == 100
    quick.model.dtype, quick.optimizer.schedule, quick.epochs = "float32", "constant", 100
    assert quick == paper


def test_a_config_survives_json():
    """What a run reads back from its folder is what it started with."""
    config = fdah.get_config("nus_wide,paper")
    frozen = workdirs.check("none", config)
    assert ml_collections.FrozenConfigDict(json.loads(json.dumps(config.to_dict()))) == frozen


def test_default_workdirs_differ_by_config():
    first, second = fdah.get_config(), fdah.get_config()
    assert workdirs.default(first) == workdirs.default(second)
    second.seed = 1
    assert workdirs.default(first) != workdirs.default(second)
