"""DSTGeH through the loop: pseudo labels, then the model."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import dstgeh as configs
from jhash import evaluate, train
from jhash.errors import InputError
from jhash.methods import graph_autoencoder
from jhash.methods.deep import dstgeh
from tests.support import chance, kills, tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")


def tiny_config(argument=None):
    config = configs.get_config(argument)
    config.bits, config.epochs = 8, 2
    config.data.source, config.data.split = "tests.support.tiny.source", "tests.support.tiny.split"
    config.data.options = {"multi_label": False}
    config.method.features.name = "tests.support.feature_source.Pixels"
    config.method.features.size, config.method.features.channels = 8, 1
    config.method.features.batch = config.batch_size = config.eval_batch_size = 16
    config.model = tiny.get_config().model
    config.image.size, config.augment.pad, config.augment.flip = 8, 1, False
    config.metrics.precision_ranks = (10,)
    if config.method.embedding.name in ("sae", "sdne"):
        config.method.embedding.update(
            hidden=(16,), batch=40, pretrain_epochs=2, epochs=2, learning_rate=1e-3
        )
    else:
        config.method.embedding.neighbors = 10
    return config


@pytest.fixture(scope="module")
def finished(quick_compilation, tmp_path_factory):
    """A run with the defaults: its folder and its results."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, train.train(tiny_config(), str(folder))


@pytest.mark.slow
def test_both_stages(finished):
    folder, results = finished
    assert results["learned"]["map_top_20_percent"] > 0.5  # Of four classes.
    assert results["encoded"]["map_top_20_percent"] > 0.4
    assert results["pseudo_labels"]["constant_bits"] == 0
    assert 4 <= results["pseudo_labels"]["distinct_codes"] <= 200
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert 0 <= json.loads(lines[-1])["bit_error_rate"] < 0.5
    assert (folder / "pretrain" / "embedding" / "metrics.jsonl").exists()
    assert (
        evaluate.evaluate_workdir(str(folder), ["tests"])["map_learned"] == results["map_learned"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "argument", ["embedding=laplacian", "embedding=sdne", "metric=euclidean,loss=margin"]
)
def test_what_the_paper_compares(tmp_path, argument):
    results = train.train(tiny_config(argument), str(tmp_path))
    by_chance = chance.mean_average_precision(tmp_path, results["bits"], percent=20.0)
    assert results["learned"]["map_top_20_percent"] > by_chance + 0.1


@pytest.mark.slow
def test_labels_are_not_used(finished, tmp_path):
    """Other labels, the same codes."""
    config = tiny_config()
    assert not config.data.options.multi_label
    config.data.options.multi_label = True
    train.train(config, str(tmp_path))
    codes = []
    for folder in (finished[0], tmp_path):
        with np.load(folder / "codes" / "database.npz") as saved:
            codes.append(saved["codes"])
    np.testing.assert_array_equal(*codes)


@pytest.mark.slow
def test_a_kill_in_either_stage_leaves_the_same_bits(tmp_path):
    """The validation is in the log; its pseudo labels are codes of the training images."""
    config = tiny_config()
    config.data.validation, config.eval_every, config.keep = 20, 1, "best"
    config.keep_metric = "map_learned"
    validation = train.train(config, str(tmp_path / "whole"))["validation"]
    assert validation["chosen_by"] == "map_learned"
    for module, name, calls in (
        (graph_autoencoder._Phase, "epoch", 3),
        (graph_autoencoder, "_outputs", 0),
        (train, "_run_epoch", 1),
    ):
        with kills.during(module, name, kills.after(calls)):
            train.train(config, str(tmp_path / "broken"))
    assert train.train(config, str(tmp_path / "broken"))["validation"] == validation
    for name in ("metrics.jsonl", "encoder.bin", "pretrain/embedding/metrics.jsonl"):
        whole, broken = ((tmp_path / run / name).read_bytes() for run in ("whole", "broken"))
        assert whole == broken, name


def pseudo_labels(config, folder):
    """The pseudo labels of the first stage."""
    data, state = dstgeh.prepare(config, tiny.split(tiny.source(), 0), jax.random.key(0))
    return dstgeh.pretrain(config, data, {}, state, str(folder))[1]["pseudo_labels"]


@pytest.mark.slow
def test_landmarks_are_nodes_without_pseudo_labels(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "landmarks.npy"
    np.save(path, rng.exponential(size=(30, 12)))
    config = tiny_config()
    without = pseudo_labels(config, tmp_path / "without")
    config.method.landmarks = str(path)
    labels = pseudo_labels(config, tmp_path / "with")
    assert labels.shape == without.shape == (200, 8)
    assert not np.array_equal(labels, without)
    np.save(path, rng.exponential(size=(30, 11)))
    message = r"landmarks.npy given, which holds float64 \[30, 11\]; allowed: .* \[M, 12\]"
    with pytest.raises(InputError, match=message):
        pseudo_labels(config, tmp_path / "other")


def test_the_paper_preset_is_the_papers_first_stage(tmp_path, monkeypatch):
    """Its graph has nodes of a file, which is missed before any work."""
    config = configs.get_config("cifar10,paper")
    embedding = config.method.embedding
    assert (embedding.alpha, embedding.beta, embedding.gamma) == (0.9, 0.099, 0.001)
    assert (embedding.mu, embedding.slope, embedding.start) == (0.7, 0.2, "random")
    assert (embedding.metric, config.method.center) == ("cosine", False)
    assert len(embedding.hidden) == 2
    data = tiny.split(tiny.source(), 0)
    config.method.features = tiny_config().method.features
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^config\.method\.landmarks: landmarks\.npy given"):
        dstgeh.check(config, data)
    np.save("landmarks.npy", np.ones((9, 12)))
    with pytest.raises(InputError, match=r"embedding\.batch: 256 given; allowed: 1 to 209"):
        dstgeh.check(config, data)
    embedding.batch = 209
    dstgeh.check(config, data)
    # The other embeddings of the paper's comparison have no such options.
    assert configs.get_config("paper,embedding=laplacian").method.landmarks == "landmarks.npy"
    assert configs.get_config("paper,embedding=sdne").method.embedding.beta == 0.099


@pytest.mark.slow
def test_collapsed_codes_are_reported(tmp_path, capsys):
    config = tiny_config()
    config.method.embedding.update(beta=1.0, epochs=30, learning_rate=0.1)
    config.method.center = False
    results = train.train(config, str(tmp_path))
    lost = results["pseudo_labels"]
    assert lost["constant_bits"] + lost["duplicate_bits"] > 0
    assert "the pseudo labels have collapsed: of 8 bits" in capsys.readouterr().err


def test_the_loss_looks_its_labels_up():
    config = tiny_config()
    _, state = dstgeh.prepare(config, tiny.split(tiny.source(), 0), jax.random.key(0))
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (200, 8)).astype(np.uint8)
    index = np.array([7, 199, 0])
    outputs = rng.normal(size=(3, 8)).astype(np.float32)
    loss, aux = dstgeh.loss(
        jnp.asarray(outputs), {"index": index}, {**state, "pseudo_labels": labels}, config
    )
    chance = 1 / (1 + np.exp(-np.float64(outputs)))
    wanted = labels[index]
    expected = -np.log(np.where(wanted, chance, 1 - chance)).sum(1).mean()
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert float(aux["bit_error_rate"]) == pytest.approx(((outputs >= 0) != wanted).mean())


def test_unknown_names_are_refused(tmp_path):
    config = tiny_config()
    config.method.loss = "hinge"
    with pytest.raises(InputError, match=r"config.method.loss: 'hinge' given; allowed: bce"):
        train.train(config, str(tmp_path))
    config = tiny_config()
    config.method.embedding.name = "isomap"
    with pytest.raises(InputError, match=r"embedding.name: module 'isomap' given; allowed: "):
        train.train(config, str(tmp_path))
