"""More epochs for a run, a start from another run's model, and a trace of steps."""

import gzip
import json
import shutil

import flax
import jax
import numpy as np
import optax
import pytest

from configs.baselines import shallow
from jhash import train
from jhash.data import augment, preprocess
from jhash.encoding import encoder
from jhash.errors import InputError
from jhash.experiment import build
from jhash.runs import workdirs
from jhash.runs.checkpoints import Checkpoints
from tests.support import kills, signals, tiny
from tests.test_validation import assert_same_training

pytestmark = pytest.mark.usefixtures("quick_compilation")


def config(**fields):
    """A short training on tiny data with a constant learning rate."""
    made = tiny.get_config()
    made.epochs, made.batch_size, made.optimizer.schedule = 2, 32, "constant"
    made.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in fields.items()}
    )
    return made


@pytest.fixture(scope="module", autouse=True)
def _one_device():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "local_device_count", lambda: 1)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of two epochs, which tests copy."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train.train(config(), folder)
    return folder


def as_it_was(folder):
    """All files of a run but locks, by name."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def test_a_longer_run_ends_as_if_it_had_been_so_long_from_the_start(
    finished, tmp_path, monkeypatch
):
    train.train(config(epochs=4), tmp_path / "whole")
    shutil.copytree(finished, tmp_path / "longer")
    seen = []
    run_epoch = train._run_epoch

    def watched(*arguments):
        seen.append(arguments[-2])  # The epoch.
        return run_epoch(*arguments)

    monkeypatch.setattr(train, "_run_epoch", watched)
    # Before anything but the config is written, and in the fourth epoch.
    killed = tmp_path / "longer"
    with kills.during(train, "_train", lambda *_: True):
        train.train(config(epochs=4), killed)
    with kills.during(train, "_report", lambda *all: all[3] == 17):
        train.train(config(epochs=4), killed)
    results = train.train(config(epochs=4), killed)
    assert seen == [2, 3, 3]
    assert (results["epochs"], results["epochs_planned"]) == (4, 4)
    assert_same_training(tmp_path / "whole", killed)
    with pytest.raises(InputError, match=r"config\.epochs is 4 there and 3 here"):
        train.train(config(epochs=3), killed)


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"optimizer__schedule": "cosine"}, False),
        ({"optimizer__warmup": 0.5}, False),
        ({"optimizer__schedule": "step", "optimizer__decay_epochs": 1}, True),
        ({"optimizer__schedule": f"{__name__}.halving"}, True),
        ({"optimizer__schedule": f"{__name__}.linear"}, False),
    ],
)
def test_more_epochs_must_leave_the_learning_rates_as_they_were(
    tmp_path, monkeypatch, fields, allowed
):
    workdirs.claim(str(tmp_path), config(**fields))
    before = as_it_was(tmp_path)

    def reached(*_):
        raise kills.KilledError

    monkeypatch.setattr(train, "_train", reached)
    message = rf"^config\.epochs: 3 given for {tmp_path}, a run of 2; allowed: 2, as the .*warmup"
    with pytest.raises(
        kills.KilledError if allowed else InputError, match=None if allowed else message
    ):
        train.train(config(**fields, epochs=3), tmp_path)
    assert allowed == (as_it_was(tmp_path) != before)


def test_more_epochs_must_leave_the_loss_as_it_was(tmp_path):
    """HashNet's steps depend on how many epochs there will be."""
    fields = {"method": {"name": "hashnet", "alpha": 10.0, "growth": 200.0}}
    before, after = config(), config(epochs=3)
    for one in (before, after):
        one.method = fields["method"]
    workdirs.claim(str(tmp_path), before)
    message = (
        rf"^config\.epochs: 3 given for {tmp_path}, a run of 2; allowed: 2, as the loss of has"
    )
    with pytest.raises(InputError, match=message):
        train.train(after, tmp_path)


def test_the_last_epochs_see_images_as_the_evaluation_does(tmp_path, monkeypatch):
    plain = config(augment__plain=0.5)
    experiment = build(workdirs.check("none", plain))
    images = experiment.data.source.images(np.arange(32))
    keys = jax.random.split(jax.random.key(0), 32)
    make_views = jax.jit(train._make_views(experiment))
    first_plain = experiment.steps_per_epoch
    shifted = augment.train_images(images, keys, experiment.mean, **plain.image, pad=1)
    as_they_are = preprocess.eval_images(images, experiment.mean, **plain.image)
    assert not np.array_equal(shifted, as_they_are)
    np.testing.assert_allclose(make_views(images, keys, first_plain - 1), shifted, rtol=1e-6)
    np.testing.assert_allclose(make_views(images, keys, first_plain), as_they_are, rtol=1e-6)
    train.train(plain, tmp_path / "whole")
    killed = tmp_path / "killed"
    with kills.during(train, "_report", lambda *all: all[3] == first_plain + 2):
        train.train(plain, killed)
    train.train(plain, killed)
    assert_same_training(tmp_path / "whole", killed)
    message = r"^config\.epochs: 3 given for .*, a run of 2; allowed: 2, .*augment\.plain is 0\.5"
    with pytest.raises(InputError, match=message):
        train.train(config(augment__plain=0.5, epochs=3), killed)


def test_views_of_plain_images_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"^config\.augment\.plain: 0\.5 given with 2 views"):
        train.train(config(augment__plain=0.5, augment__views=2), tmp_path)


def halving(optimizer, steps, steps_per_epoch):
    """A rate that does not depend on the length of the run."""
    del steps
    return optax.exponential_decay(optimizer.learning_rate, steps_per_epoch, 0.5)


def linear(optimizer, steps, steps_per_epoch):
    """A rate that falls to 0 at the end of the run."""
    del steps_per_epoch
    return optax.linear_schedule(optimizer.learning_rate, 0.0, steps)


def test_a_run_starts_with_the_model_of_another(finished, tmp_path, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(finished, other)
    started, folder = config(init_from=str(other), seed=1, epochs=1), tmp_path / "run"
    with kills.during(train, "_run_epoch", lambda *_: True):
        train.train(started, folder)
    there = encoder.read(str(other))[1]["variables"]
    with Checkpoints(str(folder / "checkpoints")) as checkpoints:
        assert checkpoints.newest == 0
        fresh = train.build(workdirs.check("none", started)).first()
        saved = checkpoints.restore(fresh)["train_state"]
    jax.tree.map(np.testing.assert_array_equal, saved.variables, there)
    assert np.any(saved.batch_stats["BatchNorm_0"]["mean"])
    assert saved.step == 0
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(saved.opt_state))
    # Begun, it no longer needs the other run.
    shutil.rmtree(other)
    assert train.train(started, folder)["epochs"] == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bits": 8}, r"allowed: runs of the same model, but config\.bits is 12 there and 8 here"),
        ({"image__size": 12}, r"model, but params\.Dense_0\.kernel is float32\[128, 16\] there"),
        ({"weights": "vgg.mat"}, r"given with config\.weights; allowed: one of them"),
    ],
)
def test_another_model_is_no_start(finished, tmp_path, fields, message):
    with pytest.raises(InputError, match=rf"^config\.init_from: .*{message}"):
        train.train(config(init_from=str(finished), **fields), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_no_run_is_no_start(finished, tmp_path):
    missing = rf"^{tmp_path}/encoder\.bin: there is no such file"
    with pytest.raises(InputError, match=missing):
        train.train(config(init_from=str(tmp_path)), tmp_path / "run")
    fitted = shallow.get_config("itq,smoke")
    fitted.init_from = str(finished)
    with pytest.raises(InputError, match=r"^config\.init_from: .* given; allowed: none, as itq is"):
        train.train(fitted, tmp_path / "run")
    # Names of somebody else's run are compared and not looked up.
    evil = tmp_path / "evil"
    evil.mkdir()
    content = {"version": 2} | encoder.read(str(finished))[1]
    content["config"]["model"]["name"] = content["config"]["method"]["name"] = "antigravity.Model"
    write_encoder(evil, content)
    with pytest.raises(InputError, match=r"model, but config\.model\.name is 'antigravity\.Model'"):
        train.train(config(init_from=str(evil)), tmp_path / "run")
    content["config"]["model"]["name"] = np.zeros(3)
    write_encoder(evil, content)
    with pytest.raises(InputError, match=r"evil/encoder\.bin: config\.model\.name: array"):
        train.train(config(init_from=str(evil)), tmp_path / "run")
    content["config"]["model"] |= {"name": "small_cnn.SmallCNN", "hidden": np.zeros(3)}
    write_encoder(evil, content)
    with pytest.raises(InputError, match=r"model, but config\.model has fields of another kind"):
        train.train(config(init_from=str(evil)), tmp_path / "run")
    content["config"]["model"]["hidden"] = 16
    params = content["variables"]["params"]
    params["Dense_0.kernel"] = params.pop("Dense_0")["kernel"]
    write_encoder(evil, content)
    with pytest.raises(InputError, match=r"model, but its parameters are grouped otherwise"):
        train.train(config(init_from=str(evil)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def write_encoder(folder, content):
    import hashlib

    packed = flax.serialization.msgpack_serialize(content)
    (folder / "encoder.bin").write_bytes(hashlib.sha256(packed).digest() + packed)


def steps_of_traces(folder):
    steps = []
    for path in (folder / "profile").rglob("*.trace.json.gz"):
        events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
        steps += [event["args"]["step_num"] for event in events if event.get("name") == "train"]
    return sorted(map(int, steps))


def test_a_trace_goes_on_where_a_run_was_stopped(finished, tmp_path, monkeypatch):
    traced = config(profile_from=4, profile_steps=3)
    at_5 = lambda *arguments: arguments[3] == 5  # noqa: E731
    with (
        signals.coming(monkeypatch, train, "_report", at_5),
        pytest.raises(KeyboardInterrupt),
    ):
        train.train(traced, tmp_path)
    assert steps_of_traces(tmp_path) == [4, 5]
    train.train(traced, tmp_path)
    assert steps_of_traces(tmp_path) == [4, 5, 6]
    assert_same_training(finished, tmp_path)


def test_a_trace_of_chosen_steps_changes_nothing(finished, tmp_path):
    traced = tmp_path / "run"
    train.train(config(profile_from=4, profile_steps=3), traced)
    assert_same_training(finished, traced)
    assert steps_of_traces(traced) == [4, 5, 6]
    assert not (finished / "profile").exists()
    # It is no part of what the run is.
    workdirs.check(str(traced), config())
    message = r"^config\.profile_from: 11 given; allowed: 1 to 10, as the run has 10 steps"
    with pytest.raises(InputError, match=message):
        train.train(config(profile_from=11, profile_steps=1), tmp_path / "none")
