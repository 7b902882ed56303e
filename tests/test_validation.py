"""Validation: the best epoch and early stopping, which no test query and no kill changes."""

import json

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from jhash import evaluate, train
from jhash.data import ArraySource, Data
from jhash.encoding import SourceEncoder, encoder
from jhash.errors import InputError
from jhash.experiment import build
from jhash.retrieval import unpack_codes
from jhash.runs import workdirs
from jhash.runs.checkpoints import Checkpoints
from tests.support import kills, signals, tiny

pytestmark = pytest.mark.usefixtures("quick_compilation", "one_device")


@pytest.fixture(scope="module")
def one_device():
    """Less to compile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "local_device_count", lambda: 1)
        yield


def best_config(**fields):
    """FDAH on tiny data, of which ten images per class are for validation.

    It soon ranks all of them rightly, so that no later epoch is better, and then stops.
    """
    config = tiny.get_config()
    config.epochs, config.batch_size, config.checkpoint_every = 6, 32, 3
    config.optimizer.learning_rate = 1e-2
    config.data.validation, config.data.validation_per_class = 10, True
    config.eval_every, config.keep, config.patience = 1, "best", 2
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in fields.items()}
    )
    return config


@pytest.fixture(scope="module")
def kept(quick_compilation, one_device, tmp_path_factory):
    """A run of `best_config`, and its results."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    return folder, train.train(best_config(), folder)


def last_checkpoint(folder):
    """The last checkpoint but its time, as bytes."""
    manager = ocp.CheckpointManager(folder / "checkpoints")
    tree = manager.restore(manager.latest_step(), args=ocp.args.StandardRestore())
    manager.close()
    tree.pop("seconds")
    return jax.tree.map(lambda leaf: np.asarray(leaf).tobytes(), tree)


def assert_same_training(one, other):
    """All that training leaves is the same: parameters, the best epoch's, the log, the encoder."""
    assert last_checkpoint(one) == last_checkpoint(other)
    for name in ("metrics.jsonl", "encoder.bin"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def validations(folder, name):
    """[(epoch, value)] of a metric of validation in the log."""
    lines = map(json.loads, (folder / "metrics.jsonl").open())
    name = f"validation/{name}"
    return [(line["epoch"], line[name]) for line in lines if name in line]


def other_source(multi_label=False):
    """The source of `tiny`, with other images and other labels of the queries."""
    source = tiny.source(multi_label)
    images, labels = source.images(np.arange(240)), source.labels.copy()
    images[200:], labels[200:] = 255 - images[200:][::-1], labels[200:][::-1] // 2
    return ArraySource(images, labels, source.class_names)


def fewer_queries(source, seed):
    """The split of `tiny` with other queries."""
    data = tiny.split(source, seed)
    return Data(source, data.train, data.database, data.queries[3:20])


def test_the_best_epoch_is_what_a_run_leaves(kept):
    """Its metrics are those of its line in the log, and of a loop over its codes."""
    folder, results = kept
    validation = results["validation"]
    values = [value for _, value in validations(folder, "map_encoded")]
    best = int(np.argmax(values)) + 1  # The first of equal ones.
    assert best + 2 == len(values) == results["epochs"] < results["epochs_planned"] == 6
    assert (validation["epoch"], validation["chosen_by"]) == (best, "map_encoded")
    assert (validation["size"], validation["stopped_early"]) == (40, True)
    assert (results["data"]["train"], results["data"]["database"]) == (160, 160)
    config = best_config()
    experiment = build(workdirs.check(str(folder), config))
    with Checkpoints(str(folder / "checkpoints")) as checkpoints:
        content = checkpoints.restore(experiment.first())["best"]["content"]
    train_state = content["train_state"]
    assert int(train_state.step) == best * experiment.steps_per_epoch
    _, exported = encoder.read(str(folder))
    jax.tree.map(np.testing.assert_array_equal, exported["variables"], train_state.variables)
    # The share of a query's class within radius 2.
    data = experiment.data.of_validation
    np.testing.assert_array_equal(np.bincount(data.labels(data.queries)), [10] * 4)
    assert not set(data.queries) & {*data.database, *experiment.data.queries}
    encode = SourceEncoder(experiment)
    replicated = jax.tree.map(lambda leaf: leaf[None], train_state)
    queries = encode(replicated, data.queries) > 0
    databases = {
        "encoded": encode(replicated, data.database) > 0,
        "learned": experiment.method.learned_codes(config, data, content["state"]) > 0,
    }
    for kind, codes in databases.items():
        precisions = []
        for query, label in zip(queries, data.labels(data.queries), strict=True):
            near = (codes != query).sum(1) <= 2
            right = data.labels(data.database) == label
            precisions.append((near & right).sum() / max(1, near.sum()))
        name = f"precision_radius_2_{kind}"
        np.testing.assert_allclose(validation["metrics"][name], np.mean(precisions), rtol=1e-12)
        assert dict(validations(folder, name))[best] == validation["metrics"][name]
    with np.load(folder / "codes" / "database.npz") as file:
        bits = np.asarray(unpack_codes(file["codes"], 12)) > 0
    np.testing.assert_array_equal(bits, databases["encoded"])


def test_a_training_time_is_without_validation(kept, tmp_path, monkeypatch):
    """Here each validation takes a thousand seconds."""
    clock, validate, later = train.time.perf_counter, evaluate.validate, []
    monkeypatch.setattr(train.time, "perf_counter", lambda: clock() + 1000 * len(later))

    def slow(*arguments, **options):
        later.append(1)
        return validate(*arguments, **options)

    monkeypatch.setattr(evaluate, "validate", slow)
    results = train.train(best_config(), tmp_path)
    assert len(later) >= 3
    assert 0 < results["train_seconds"] < 900
    assert results["steps"] == kept[1]["steps"]


def test_queries_of_the_test_change_nothing_that_is_trained_or_chosen(kept, tmp_path):
    folder, expected = kept
    config = best_config()
    config.data.source = f"{__name__}.other_source"
    config.data.split = f"{__name__}.fewer_queries"
    results = train.train(config, tmp_path)
    assert_same_training(folder, tmp_path)
    assert results["validation"] == expected["validation"]
    assert results["map_encoded"] != expected["map_encoded"]


def test_a_training_that_stops_early_is_killed_and_stopped_to_the_same_bits(
    kept, tmp_path, monkeypatch
):
    whole, expected = kept
    config, best = best_config(), expected["validation"]["epoch"]
    steps = expected["steps"] // expected["epochs"]
    after = lambda n: lambda experiment, encode, state, *_: state.step[0] == n * steps  # noqa: E731
    with kills.during(evaluate, "validate", after(best)):
        train.train(config, tmp_path)
    # When the best epoch is known, and one worse than it; then while the last one is validated.
    step = lambda experiment, epochs, epoch, at, *_: at == (best + 1) * steps + 2  # noqa: E731
    for module, name, at in ((train, "_report", step), (evaluate, "validate", after(best + 2))):
        with signals.coming(monkeypatch, module, name, at), pytest.raises(KeyboardInterrupt):
            train.train(config, tmp_path)
        assert (tmp_path / "interrupted").exists()
    assert train.train(config, tmp_path)["validation"] == expected["validation"]
    assert_same_training(whole, tmp_path)
    monkeypatch.setattr(train, "_run_epoch", lambda *_: pytest.fail("trained on"))
    train.train(config, tmp_path)
    results = evaluate.evaluate_workdir(tmp_path, ["tests"])
    for name in ("validation", "map_learned", "epochs"):
        assert results[name] == expected[name], name


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("data.validation", 0, r"config\.eval_every: 1 given; allowed: 0 without validation imag"),
        ("eval_every", 5, r"config\.eval_every: 5 given; allowed: 0 to 4, which is config\.epochs"),
        ("eval_every", 0, r"config\.keep: best given; allowed: last, as config\.eval_every is 0"),
        ("keep", "last", r"config\.patience: 2 given; allowed: 0, or any with config\.keep best"),
        ("keep_metric", "map", r"config\.keep_metric: 'map' given; allowed: map_learned, prec"),
        ("data.validation", 50, r"config\.data\.validation: 50 given; allowed: 1 to 49, less than"),
    ],
)
def test_what_cannot_choose_is_refused(tmp_path, field, value, message):
    config = best_config(epochs=4)
    config.update_from_flattened_dict({field: value})
    with pytest.raises(InputError, match=f"^{message}"):
        train.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def own_validation(source, seed):
    """A split with validation images of its own."""
    data = tiny.split(source, seed)
    return Data(source, data.train[:-40], data.database[:-60], data.queries, data.train[-40:])


def test_a_split_may_have_validation_images_of_its_own():
    config = best_config(data__split=f"{__name__}.own_validation", data__validation=0)
    experiment = build(workdirs.check("none", config))
    np.testing.assert_array_equal(experiment.data.validation, np.arange(160, 200))
    assert len(experiment.data.database) == 140
    config.data.validation = 5
    message = r"^config\.data\.validation: 5 given; allowed: 0, as the split has 40 validation imag"
    with pytest.raises(InputError, match=message):
        build(workdirs.check("none", config))
