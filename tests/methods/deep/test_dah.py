"""DAH: its objective against float64 NumPy, and batches that eight devices cannot share."""

import json

import chex
import flax.linen as nn
import jax
import ml_collections
import numpy as np
import pytest

from configs import dah as dah_config
from jhash import encoding, evaluate, parallel, train
from jhash.data import ArraySource, Data, batches
from jhash.errors import InputError
from jhash.experiment import build
from jhash.methods.deep import dah
from jhash.models.layers.activations import shrink_sigmoid
from jhash.runs import workdirs

pytestmark = pytest.mark.usefixtures("quick_compilation")

CLASSES = 10


class TinyNet(nn.Module):
    """A model with the two outputs of DAH, behind a BatchNorm."""

    bits: int
    axis_name: str | None = None
    classes: int = 0

    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(16)(x.reshape(len(x), -1))
        x = nn.relu(nn.BatchNorm(not train, axis_name=self.axis_name, momentum=0.9)(x))
        hashed = nn.Dense(self.bits)(x)
        return {"hash": hashed, "classes": nn.Dense(self.classes)(shrink_sigmoid(hashed))}


def source(multi_label=False, classes=CLASSES):
    """Ten classes, each a bright row or column of a 5 x 5 image in noise, 20 images each."""
    rng = np.random.default_rng(0)
    labels = np.arange(200, dtype=np.int32) % 10
    images = rng.integers(0, 100, (200, 5, 5, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        line = image[label] if label < 5 else image[:, label - 5]
        line += 120
    labels %= classes
    names = tuple(f"line {label}" for label in range(classes))
    return ArraySource(images, np.eye(10, dtype=np.uint8)[labels] if multi_label else labels, names)


def split(source, seed):
    del seed
    train = np.arange(150)
    return Data(source, train, train, np.arange(150, 200))


def split_without_boots(source, seed):
    data = split(source, seed)
    train = data.train[data.labels(data.train) != 4]
    return Data(source, train, train, data.queries)


def tiny_config(argument=None):
    config = dah_config.get_config(argument)
    config.bits = 12
    config.data.source, config.data.split = f"{__name__}.source", f"{__name__}.split"
    config.data.options = {"multi_label": False, "classes": CLASSES}
    config.model = {"name": f"{__name__}.TinyNet", "classes": CLASSES}
    config.image.size, config.epochs, config.log_every = 5, 2, 1
    config.eval_batch_size, config.metrics.precision_ranks = 40, (10,)
    return config


def reference(hashed, class_logits, labels, method):
    """The objective as the paper has it, pair by pair, in float64."""
    hashed, class_logits = np.float64(hashed), np.float64(class_logits)
    x = 1 / 4 + 1 / (2 * (1 + np.exp(-hashed)))
    size, bits = x.shape
    similarity = balance = 0.0
    for i in range(size):
        for j in range(size):
            if i == j:
                continue
            if labels[i] == labels[j]:
                similarity += ((x[i] - x[j]) ** 2).sum()
            else:
                value = bits * method["threshold"] + np.log(1 - np.abs(x[i] - x[j])).sum()
                value = {"hinge": max(value, 0), "abs": abs(value), "printed": value}
                similarity += value[method["dissimilar"]]
            balance += (np.sum(x[i] - 0.5) + np.sum(x[j] - 0.5)) ** 2
    pairs = size * (size - 1)
    shares = np.exp(class_logits) / np.exp(class_logits).sum(1, keepdims=True)
    return {
        "similarity": method["phi1"] * similarity / pairs,
        "balance": method["phi2"] * balance / pairs,
        "classification": -np.log(shares[np.arange(size), labels]).mean(),
        "accuracy": np.mean(class_logits.argmax(1) == labels),
    }


@pytest.mark.parametrize("dissimilar", ["hinge", "abs", "printed"])
def test_the_objective_equals_the_paper(dissimilar):
    rng = np.random.default_rng(1)
    labels = rng.permutation(np.repeat(np.arange(4), 3)).astype(np.int32)
    # Apart enough that some pairs are beyond the threshold.
    hashed = rng.normal(scale=4, size=(12, 6)).astype(np.float32)
    class_logits = rng.normal(size=(12, 4)).astype(np.float32)
    method = {"dissimilar": dissimilar, "threshold": 1 / 4.8, "phi1": 0.7, "phi2": 1.3}
    config = ml_collections.FrozenConfigDict({"bits": 6, "method": method})
    expected = reference(hashed, class_logits, labels, method)
    outputs, batch = {"hash": hashed, "classes": class_logits}, {"labels": labels}
    total, aux = jax.jit(lambda outputs, batch: dah.loss(outputs, batch, {}, config))(
        outputs, batch
    )
    assert aux.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(aux[name], value, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(total, sum(expected.values()) - expected["accuracy"], rtol=1e-5)
    np.testing.assert_array_equal(dah.hash_outputs(outputs), hashed)


def run_steps(devices, steps, monkeypatch):
    """Devices, losses, train state and outputs of some steps on at most `devices` devices."""
    monkeypatch.setattr(jax, "local_device_count", lambda: devices)
    config = tiny_config()
    # Adam divides by the gradient's size: rounding in a tiny gradient is not tiny after it.
    config.optimizer.name, config.optimizer.learning_rate = "sgd", 0.05
    experiment = build(workdirs.check("none", config))
    devices = experiment.devices
    step = parallel.map_devices(train.make_step(experiment))
    train_state = parallel.replicate(experiment.first()["train_state"], devices)
    state = parallel.replicate(experiment.state, devices)
    indices = experiment.epoch_indices(experiment.state, 0)
    orders = batches.batch_indices(indices, config.batch_size)[:steps]
    losses = []
    for batch in batches.prefetch(experiment.data.source, orders):
        assert (np.bincount(batch["labels"]) == 2).all()
        train_state, _, metrics = step(train_state, state, parallel.shard(batch, devices))
        losses.append(float(metrics["loss"][-1]))
    outputs = encoding.SourceEncoder(experiment)(train_state, experiment.data.queries)
    return devices, losses, jax.device_get(parallel.unreplicate(train_state)), outputs


@pytest.mark.slow
def test_one_device_equals_the_five_of_eight_that_can_share_a_batch(monkeypatch, capsys):
    one, losses, train_state, outputs = run_steps(1, 4, monkeypatch)
    assert (one, capsys.readouterr().err) == (1, "")
    five, losses_5, train_state_5, outputs_5 = run_steps(8, 4, monkeypatch)
    assert five == 5
    message = "jhash: 5 of 8 devices are used; more cannot share config.batch_size 20 equally.\n"
    assert capsys.readouterr().err == message
    np.testing.assert_allclose(losses_5, losses, rtol=1e-5)
    chex.assert_trees_all_close(train_state_5, train_state, rtol=1e-4, atol=1e-6)
    chex.assert_trees_all_close(outputs_5, outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_run_says_what_it_did(tmp_path):
    config = tiny_config("seed=1")
    config.epochs = config.checkpoint_every = 12
    config.optimizer.learning_rate = 3e-2
    results = train.train(config, str(tmp_path))
    assert results["map_encoded"] > 0.9
    assert results["device"]["count"] == 5
    ratios = results["encoded"]["ones_to_zeros"]
    np.testing.assert_allclose(results["encoded"]["ones_to_zeros_mean"], np.mean(ratios))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == results["steps"] == 12 * 8
    for line in (lines[0], lines[-1]):
        terms = line["similarity"] + line["balance"] + line["classification"]
        np.testing.assert_allclose(line["loss"], terms, rtol=1e-5)
    assert lines[-1]["accuracy"] > 0.9 > lines[0]["accuracy"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "data.options.multi_label",
            True,
            r"config\.data\.source: .*source' given, whose labels are rows of 0/1; allowed: ",
        ),
        ("data.split", f"{__name__}.split_without_boots", "no training image of class line 4"),
        ("batch_size", 16, r"config\.batch_size: 16 given; .* number of classes, 10,"),
        ("batch_size", 10, r"config\.batch_size: 10 given; allowed: 2, 3, \.\.\. times"),
        ("batch_size", 0, r"config\.batch_size: 0 given"),
        ("idle_devices", False, r"config\.batch_size: 20 .*devices, 8\. With idle_devices=True"),
        ("eval_batch_size", 16, r"config\.eval_batch_size: 16 .*devices, 5\."),
        ("model.classes", 9, r"config\.model\.classes: 9 given; allowed: 10, the number of"),
        (
            "model",
            {"name": "small_cnn.SmallCNN", "widths": (), "convolutions": ()},
            r"config\.model\.classes: None given",
        ),
        (
            "data.options.classes",
            9,
            r"classes: 10 given; allowed: 9, .* config\.batch_size: 20 does not fit 9 classes",
        ),
        ("method.dissimilar", "log", r"config\.method\.dissimilar: 'log' .*hinge, abs, printed"),
        ("method.phi2", -1.0, r"config\.method\.phi2: -1\.0 given; allowed: a finite number >= 0"),
        ("method.threshold", float("nan"), r"config\.method\.threshold: nan given"),
    ],
)
def test_bad_fields_are_named(field, value, message):
    config = tiny_config()
    if field == "model":
        config.model = value
    else:
        config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError, match=message):
        build(workdirs.check("none", config))


def test_a_bit_without_zeros_has_no_ratio():
    config = tiny_config()
    config.bits = 2
    data = split(source(), 0)
    codes = np.ones((150, 1), np.uint32) | 2 * (np.arange(150) % 3 == 0)[:, None].astype(np.uint32)
    metrics = evaluate._metrics(config, data, codes[:50], codes)
    assert metrics["ones_to_zeros"] == [None, 0.5]
    assert metrics["ones_to_zeros_mean"] is None
