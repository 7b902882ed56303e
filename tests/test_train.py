"""The loop: equal on 1 and 8 devices, stopped by NaN, traced once per run."""

import dataclasses
import errno
import json
import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.io
from flax import linen as nn

from jhash import encoding, evaluate, parallel, train
from jhash.data import batches
from jhash.encoding import encoder
from jhash.errors import InputError, NonFiniteError
from jhash.experiment import build
from jhash.methods.deep import fdah
from jhash.models import cnn_f
from jhash.pretrained import cnn_f as published
from jhash.runs import code_files, workdirs
from jhash.runs.checkpoints import Checkpoints
from tests.support import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")


def run_steps(config, devices, steps, monkeypatch):
    """Losses, train state and outputs after some steps on the first devices."""
    monkeypatch.setattr(jax, "local_device_count", lambda: devices)
    # Adam divides by the gradient's size: rounding in a tiny gradient is not tiny after it.
    config.optimizer.name, config.optimizer.learning_rate = "sgd", 0.1
    experiment = build(workdirs.check("none", config))
    step = parallel.map_devices(train.make_step(experiment))
    train_state = parallel.replicate(experiment.first()["train_state"])
    state = parallel.replicate(experiment.state)
    indices = experiment.epoch_indices(experiment.state, 0)
    orders = batches.batch_indices(indices, config.batch_size)[:steps]
    losses = []
    for batch in batches.prefetch(experiment.data.source, orders):
        train_state, _, metrics = step(train_state, state, parallel.shard(batch))
        chex.assert_trees_all_equal(*[jax.tree.map(lambda x, d=d: x[d], metrics) for d in (0, -1)])
        losses.append(float(metrics["loss"][0]))
    outputs = encoding.SourceEncoder(experiment)(train_state, experiment.data.queries)
    return losses, jax.device_get(parallel.unreplicate(train_state)), outputs


@pytest.mark.slow
@pytest.mark.parametrize("multi_label", [False, True])
def test_one_device_equals_eight(multi_label, monkeypatch):
    """A shard-local loss or BatchNorm would give other numbers; so would shard-local randomness."""
    config = tiny.get_config()
    config.data.options.multi_label = multi_label
    losses, train_state, outputs = run_steps(config, 1, 5, monkeypatch)
    losses_8, train_state_8, outputs_8 = run_steps(config, 8, 5, monkeypatch)
    np.testing.assert_allclose(losses_8, losses, rtol=1e-5)
    chex.assert_trees_all_close(train_state_8, train_state, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outputs_8, outputs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_an_invertible_model_on_one_device_equals_eight(monkeypatch):
    """The gradient that computes BatchNorm's statistics again shares them over the devices."""
    config = tiny.get_config()
    config.method = {"name": "aihn", "quantization": 0.1}
    config.model = {"name": "invertible_net.InvertibleNet", "stages": (2,)}
    one = run_steps(config, 1, 2, monkeypatch)
    eight = run_steps(config, 8, 2, monkeypatch)
    np.testing.assert_allclose(eight[0], one[0], rtol=1e-5)
    chex.assert_trees_all_close(eight[1], one[1], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(eight[2], one[2], rtol=1e-3, atol=1e-4)


def local_mean_loss(outputs, batch, state, config):
    """Not linear in the samples: the square of a mean over the batch."""
    del batch, state, config
    return jnp.square(jnp.mean(outputs)), {"images": jnp.float32(len(outputs))}


@pytest.mark.slow
def test_the_loss_sees_the_global_batch(monkeypatch):
    config = tiny.get_config()
    config.loss = f"{__name__}.local_mean_loss"
    one = run_steps(config, 1, 2, monkeypatch)
    eight = run_steps(config, 8, 2, monkeypatch)
    np.testing.assert_allclose(one[0], eight[0], rtol=1e-5)
    chex.assert_trees_all_close(one[1], eight[1], rtol=1e-4, atol=1e-6)


def test_training_learns_and_leaves_a_run(tmp_path):
    config = tiny.get_config()
    config.epochs, config.optimizer.learning_rate = 12, 1e-2
    results = train.train(config, str(tmp_path))
    assert results["map_learned"] > 0.95
    assert results["map_encoded"] > 0.95
    assert json.loads((tmp_path / "results.json").read_text()) == results
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["distinct_class_codes"] == 4
    assert lines[-1]["min_class_distance"] >= 1
    steps = [line for line in lines if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 121))
    cosine = 1e-2 * (1 + np.cos(np.pi * np.arange(120) / 120)) / 2  # That of each step itself.
    np.testing.assert_allclose([line["learning_rate"] for line in steps], cosine, 1e-4, 1e-9)
    assert list((tmp_path / "tensorboard").iterdir())
    with np.load(tmp_path / "codes" / "queries.npz") as queries:
        np.testing.assert_array_equal(queries["ids"], np.arange(200, 240))
        assert queries["codes"].shape == (40, 1)
        assert queries["bits"] == 12
        before = str(queries["network"])
    assert before == encoder.digest(str(tmp_path))
    again = evaluate.evaluate_workdir(str(tmp_path), ["tests"])
    for name in ("map_learned", "map_encoded", "steps", "train_seconds"):
        assert again[name] == results[name], name
    assert encoder.digest(str(tmp_path)) == before


@pytest.mark.slow
def test_steps_are_traced_once(tmp_path, monkeypatch):
    make_step = train.make_step
    monkeypatch.setattr(
        train,
        "make_step",
        lambda experiment: chex.assert_max_traces(make_step(experiment), n=1),
    )
    train.train(tiny.get_config(), str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("poison", ["loss", "state"])
def test_a_bad_number_stops_the_run_and_keeps_the_last_good_checkpoint(
    tmp_path, monkeypatch, poison
):
    config = tiny.get_config()
    config.method.name = "tests.support.poison_method"
    config.method.poison = poison
    with pytest.raises(NonFiniteError, match=r"step \d+ \(epoch \d\): .* is (nan|inf)"):
        train.train(config, str(tmp_path))
    saved = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert saved == ["1", "2"]
    results = evaluate.evaluate_workdir(str(tmp_path), ["tests"])
    assert results["epochs"] == 2


@pytest.mark.slow
def test_a_workdir_of_another_config_is_refused(tmp_path):
    config = tiny.get_config()
    config.epochs = 1
    train.train(config, str(tmp_path))
    config.bits = 16
    before = (tmp_path / "results.json").read_bytes()
    with pytest.raises(InputError, match=r"config\.bits is 12 there and 16 here"):
        train.train(config, str(tmp_path))
    assert (tmp_path / "results.json").read_bytes() == before


@pytest.mark.slow
def test_a_run_may_be_measured_otherwise_without_being_another_run(tmp_path):
    config = tiny.get_config()
    config.epochs = 1
    first = train.train(config, tmp_path)
    lines = (tmp_path / "metrics.jsonl").read_bytes()
    config.metrics.map_at = 50
    again = train.train(config, tmp_path)
    assert again["encoded"]["map_at_50"] > 0
    assert (again["map_encoded"], again["steps"]) == (first["map_encoded"], first["steps"])
    assert (tmp_path / "metrics.jsonl").read_bytes() == lines
    # An older version wrote this, and stopped after the training.
    stranded = json.loads((tmp_path / "config.json").read_text())
    assert stranded["metrics"]["map_at"] == 50
    stranded["metrics"]["map_at_percent"] = 200.0
    (tmp_path / "config.json").write_text(json.dumps(stranded))
    with pytest.raises(InputError, match=r"^config\.metrics\.map_at_percent: 200\.0 given"):
        evaluate.evaluate_workdir(tmp_path, ["tests"])
    mended = {"map_at_percent": 10, "map_at": None}
    results = evaluate.evaluate_workdir(tmp_path, ["tests"], mended)
    assert "map_at_50" not in results["encoded"]
    assert results["encoded"]["map_top_10_percent"] > 0
    kept = json.loads((tmp_path / "config.json").read_text())["metrics"]
    assert kept == stranded["metrics"] | mended


def test_a_digest_depends_on_all_that_shapes_the_forward_pass(tmp_path):
    experiment = build(workdirs.check("none", tiny.get_config()))
    variables = experiment.first()["train_state"].variables

    def digest(field, value):
        """The digest of the same parameters under a config with another value of a field."""
        config = tiny.get_config()
        config.update_from_flattened_dict({field: value})
        changed = dataclasses.replace(experiment, config=workdirs.check("none", config))
        written = encoder.save(changed, variables, str(tmp_path))
        assert encoder.digest(str(tmp_path)) == written
        return written

    unchanged = digest("epochs", 1)
    assert digest("epochs", 2) == unchanged
    fields = {"image.scale": 1.0, "image.size": 6, "model.convolutions": (2,), "bits": 11}
    for field, value in {**fields, "method.name": "tests.support.poison_method"}.items():
        assert digest(field, value) != unchanged, field


def test_every_write_of_the_evaluation_may_fail(tmp_path, monkeypatch):
    """The error names a file of the run, all files are whole, and the next evaluation is right."""
    config = tiny.get_config()
    config.epochs = 1
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    expected = train.train(config, str(tmp_path))
    experiment = build(workdirs.check("none", config))
    encode, saved = encoding.SourceEncoder(experiment), experiment.first()
    with Checkpoints(str(tmp_path / "checkpoints")) as checkpoints:
        saved = checkpoints.restore(saved)
    replace, failed = os.replace, []
    for failing in range(20):
        calls = []

        def fail(*arguments, failing=failing, calls=calls):
            calls.append(arguments)
            if len(calls) == failing + 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            replace(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", fail)
            try:
                evaluate.evaluate(experiment, encode, saved, str(tmp_path))
            except OSError as error:
                failed.append(os.path.relpath(error.filename, tmp_path))
        if len(calls) <= failing:
            break
        assert json.loads((tmp_path / "results.json").read_text())["map_encoded"]
        encoder.load(str(tmp_path), ["tests"])
        for path in (tmp_path / "codes").iterdir():
            code_files.read(str(path))
        assert not list(tmp_path.rglob("*.tmp"))
    codes = [f"codes/{name}.npz" for name in ("queries", "database", "database_learned")]
    assert sorted(failed) == sorted(["encoder.bin", *codes, "results.json"])
    results = json.loads((tmp_path / "results.json").read_text())
    times = ("encode_seconds_per_image", "train_seconds")
    same = lambda content: {k: v for k, v in content.items() if k not in times}  # noqa: E731
    assert same(results) == same(expected)


@pytest.mark.parametrize("content", [b"", b'{"bits": 12', b"[]", b"\xff"])
def test_a_damaged_config_is_named(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"^{tmp_path}/config\.json: the file is damaged"):
        evaluate.evaluate_workdir(str(tmp_path), ["tests"])


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(InputError, match=rf"^{tmp_path}/config\.json: there is no such file"):
        evaluate.evaluate_workdir(str(tmp_path), ["tests"])


def test_a_config_that_cannot_be_built_claims_no_folder(tmp_path):
    config = tiny.get_config()
    config.model.name = "small_cnn.Missing"
    with pytest.raises(InputError, match=r"config\.model\.name"):
        train.train(config, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("batch_size", 12, r"config\.batch_size: 12 given.*devices, 8"),
        ("eval_batch_size", 0, r"config\.eval_batch_size: 0"),
        ("bits", 513, r"config\.bits: 513 given; allowed: 1 to 512"),
        ("loss", "fdah.missing", r"config\.loss: 'fdah\.missing' given; allowed: "),
        ("keep_checkpoints", 0, r"config\.keep_checkpoints: 0 given"),
        ("log_every", 0, r"config\.log_every: 0 given"),
        ("weights", "vgg.mat", r"config\.weights: vgg\.mat given; .* of small_cnn\.SmallCNN"),
        ("batch_size", 168, r"config\.batch_size: 168 given; allowed: 1 to 160, as the data have"),
        ("eval_batch_size", 8000, r"eval_batch_size: 8000 given; allowed: 1 to 1000, as the data"),
        ("metrics.map_at_percent", 200.0, r"config\.metrics\.map_at_percent: 200\.0 given"),
        ("image.size", 3, r"config\.image\.size: 3 given; allowed: sides .* such as 28, 32"),
        ("image.crop", 3, r"config\.image\.crop: 3 given; allowed: sides .* such as 28, 32"),
        ("model.hidden", 0, r"config\.model: .*hidden=0.* given; allowed: what the docstring of"),
        ("model.convolutions", (1, 1), r"config\.model: .*convolutions=\(1, 1\).* given; allowed"),
        ("model.name", f"{__name__}.SevenBits", r"config\.model\.name: .* an image to \[7\] numb"),
        ("optimizer.name", "lbfgs", r"config\.optimizer\.name: 'lbfgs' given"),
    ],
)
def test_bad_fields_are_named(tmp_path, field, value, message):
    config = tiny.get_config()
    if value == f"{__name__}.SevenBits":
        config.model = {}
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError, match=message):
        train.train(config, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


class SevenBits(nn.Module):
    """A model that does not give as many numbers as the config has bits."""

    bits: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train):
        """Maps images to seven numbers."""
        return nn.Dense(7)(x.reshape(len(x), -1))


@pytest.mark.parametrize("field", ["augment.views", "weights", "metrics"])
def test_a_config_without_a_field_is_refused_by_name(tmp_path, field):
    config = tiny.get_config()
    group, _, name = field.rpartition(".")
    with config.unlocked():
        del (config[group] if group else config)[name]
    with pytest.raises(InputError, match=rf"^config\.{field}: none given; .* Another version"):
        train.train(config, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_two_processes_cannot_train_in_one_folder(tmp_path):
    with (
        workdirs.lock(str(tmp_path)),
        pytest.raises(InputError, match="another process is training"),
    ):
        train.train(tiny.get_config(), str(tmp_path))


def test_a_run_without_a_checkpoint_is_not_evaluated(tmp_path):
    workdirs.claim(str(tmp_path), tiny.get_config())
    with pytest.raises(InputError, match=r"--workdir: .* given, whose run has no checkpoint yet"):
        evaluate.evaluate_workdir(str(tmp_path), ["tests"])
    assert not (tmp_path / "results.json").exists()


@pytest.mark.slow
def test_epochs_of_unequal_length_are_refused(tmp_path, monkeypatch):
    def shrinking(config, data, state, epoch, key):
        return data.train[: 160 - 32 * epoch]

    monkeypatch.setattr(fdah, "begin_epoch", shrinking)
    with pytest.raises(InputError, match=r"128 samples in epoch 1, 8 batches; .* first, 10"):
        train.train(tiny.get_config(), str(tmp_path))


@pytest.mark.slow
def test_published_weights_are_the_start_of_a_run(tmp_path):
    """A narrow CNN-F from a .mat of the published layout: all layers but the hash layer."""
    rng = np.random.default_rng(0)
    model = {"name": "cnn_f.CNNF", "widths": (2, 2, 2, 2, 2), "hidden": 3}
    net = cnn_f.CNNF(12, widths=model["widths"], hidden=3)
    shapes = jax.eval_shape(net.init, jax.random.key(0), np.zeros((1, 224, 224, 3)), False)
    layers, kernels = np.empty((1, 8), object), {}
    for place, name in enumerate(published.LAYERS):
        shape = shapes["params"][name]["kernel"].shape
        kernels[name] = rng.normal(size=shape).astype(np.float32)
        stored = {"fc6": (6, 6, 2, 3), "fc7": (1, 1, 3, 3)}.get(name, shape)
        weights = np.empty((1, 2), object)
        weights[0] = [kernels[name].reshape(stored), np.zeros((shape[-1], 1), np.float32)]
        layers[0, place] = {"name": name, "type": "conv", "weights": weights}
    layers[0, 7] = {"name": "prob", "type": "softmax"}
    mean = rng.uniform(0, 255, (224, 224, 3)).astype(np.float32)
    path = tmp_path / "narrow.mat"
    scipy.io.savemat(path, {"layers": layers, "meta": {"normalization": {"averageImage": mean}}})
    config = tiny.get_config()
    config.weights, config.model = str(path), model
    config.image.size, config.image.channels, config.image.scale = 224, 3, 1.0
    experiment = build(workdirs.check("none", config))
    np.testing.assert_array_equal(experiment.mean, mean)
    params = experiment.first()["train_state"].params
    for name, kernel in kernels.items():
        np.testing.assert_array_equal(params[name]["kernel"], kernel)
    # The other layers begin as they do without weights.
    drawn = dataclasses.replace(experiment, weights=None).first()["train_state"].params
    others = drawn.keys() - kernels.keys()
    assert others
    for name in others:
        jax.tree.map(np.testing.assert_array_equal, params[name], drawn[name])
    config.image.scale = 1 / 64
    with pytest.raises(InputError, match=r"config\.image\.scale: 0\.015625 given with config"):
        build(workdirs.check("none", config))
    config.image.scale, config.model.hidden = 1.0, 4
    with pytest.raises(InputError, match=r"config\.weights: fc6\.kernel of shape .* given"):
        build(workdirs.check("none", config)).first()
