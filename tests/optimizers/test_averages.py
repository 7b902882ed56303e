"""The moving average of the weights: its values, and where it stands in for the weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash import parallel, train
from jhash.encoding import encoder
from jhash.experiment import build
from jhash.optimizers import averages
from jhash.runs import paths, workdirs
from jhash.runs.checkpoints import Checkpoints
from tests.support import tiny

DECAY = 0.6


def reference(values, decay):
    """The average in float64: step t has the decay (1 + t) / (10 + t) at most."""
    average = np.asarray(values[0], np.float64)
    for step, value in enumerate(values[1:]):
        share = min(decay, (1 + step) / (10 + step))
        average = share * average + (1 - share) * value
    return average


def test_the_average_is_that_of_its_definition():
    values = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    for decay in (0.5, 0.99):
        average = {"a": jnp.asarray(values[0]), "count": jnp.int32(0)}
        for step, value in enumerate(values[1:]):
            new = {"a": jnp.asarray(value), "count": jnp.int32(step)}
            average = averages.update(average, new, jnp.int32(step), decay)
        np.testing.assert_allclose(average["a"], reference(values, decay), rtol=1e-4, atol=1e-6)
        assert average["count"] == 198


@pytest.mark.usefixtures("quick_compilation")
def test_training_exports_the_average_of_weights_with_rates_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    config = tiny.get_config()
    config.optimizer.update(average=DECAY, learning_rate=0.05)
    config.optimizer.rates = {"Conv_*": 0.0, "Dense_1": 10.0}
    config.method = {"name": "aihn", "quantization": 0.1}
    config.epochs, config.batch_size = 1, 40
    seen = []
    map_step = train._map_step

    def recorded(experiment):
        step = map_step(experiment)

        def record(*arguments):
            new = step(*arguments)
            seen.append(jax.device_get(parallel.unreplicate(new[0].variables)))
            return new

        return record

    monkeypatch.setattr(train, "_map_step", recorded)
    train.train(config, str(tmp_path))
    experiment = build(workdirs.load(str(tmp_path)))
    first = experiment.first()
    with Checkpoints(paths.checkpoints(str(tmp_path))) as checkpoints:
        train_state = checkpoints.restore(first)["train_state"]
    assert int(train_state.step) == len(seen) == 5
    history = [first["train_state"].variables, *seen]
    expected = jax.tree.map(lambda *leaves: reference(leaves, DECAY), *history)
    exported = encoder.load(str(tmp_path), ["tests"])._variables
    for found in (train_state.average, parallel.unreplicate(exported)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-4, 1e-5), found, expected)
    raw = train_state.params["Dense_1"]["kernel"]
    assert np.abs(raw - expected["params"]["Dense_1"]["kernel"]).max() > 1e-3
    # The first step of Adam is the rate itself, in a number that has a gradient.
    moved = jax.tree.map(lambda new, old: np.abs(new - old).max(), seen[0], history[0])
    assert moved["params"]["Dense_1"]["kernel"] == pytest.approx(10 * 0.05, rel=0.01)
    assert moved["params"]["Dense_0"]["kernel"] == pytest.approx(0.05, rel=0.01)
    # BatchNorm behind a frozen layer goes on following the data.
    assert moved["batch_stats"]["BatchNorm_0"]["mean"] > 0
    frozen = history[0]["params"]["Conv_0"]["kernel"]
    np.testing.assert_array_equal(train_state.params["Conv_0"]["kernel"], frozen)
