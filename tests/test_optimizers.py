"""Schedules, weight decay and arguments of optimizers."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import fdah
from jhash import optimizers
from jhash.errors import InputError


def config(**fields):
    optimizer = fdah.get_config().optimizer
    optimizer.update(learning_rate=0.1, weight_decay=0.0)
    optimizer.update(fields)
    return optimizer


def test_schedules():
    cosine = optimizers.schedule(config(), 100, 10)
    assert float(cosine(0)) == pytest.approx(0.1)
    assert float(cosine(50)) == pytest.approx(0.05)
    assert float(cosine(100)) == pytest.approx(0, abs=1e-8)
    step = optimizers.schedule(config(schedule="step", decay=0.1, decay_epochs=5), 100, 10)
    np.testing.assert_allclose([step(0), step(49), step(50), step(100)], [0.1, 0.1, 1e-2, 1e-3])
    warm = optimizers.schedule(config(schedule="constant", warmup=0.2), 100, 10)
    np.testing.assert_allclose([warm(0), warm(10), warm(20), warm(99)], [0, 0.05, 0.1, 0.1])


def test_weight_decay_is_l2_for_sgd_and_decoupled_for_adamw():
    params = {"x": jnp.ones(3)}
    zero = {"x": jnp.zeros(3)}
    sgd = optimizers.build(config(name="sgd", weight_decay=0.5), 0.1)
    updates, _ = sgd.update(zero, sgd.init(params), params)
    np.testing.assert_allclose(updates["x"], -0.05)
    adamw = optimizers.build(config(name="adamw", weight_decay=0.5), 0.1)
    updates, _ = adamw.update(zero, adamw.init(params), params)
    np.testing.assert_allclose(updates["x"], -0.05)


def test_arguments_reach_optax():
    built = optimizers.build(config(name="sgd", arguments={"momentum": 0.9}), 0.1)
    own = optax.sgd(0.1, momentum=0.9)
    params, gradient = {"x": jnp.ones(2)}, {"x": jnp.ones(2)}
    mine, theirs = built.init(params), own.init(params)
    for _ in range(3):
        updates, mine = built.update(gradient, mine, params)
        expected, theirs = own.update(gradient, theirs, params)
    np.testing.assert_allclose(updates["x"], expected["x"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "nothing"}, r"config\.optimizer\.name: 'nothing'"),
        ({"name": "apply_updates"}, r"config\.optimizer\.name"),
        (
            {"name": "sgd", "arguments": {"b1": 0.9}},
            r"config\.optimizer\.arguments: b1 given; allowed: .*optax\.sgd, .*momentum",
        ),
        ({"schedule": "linear"}, r"schedule: 'linear' given; allowed: constant, cosine, step"),
        ({"warmup": 1.0}, r"warmup: 1\.0 given; allowed: \[0, 1\)"),
        ({"decay": 0.0}, r"config\.optimizer\.decay: 0\.0 given; allowed: a finite number above 0"),
        (
            {"name": "sgd", "arguments": {"momentum": "much"}},
            r"optimizer\.name: 'sgd' given with the arguments \{'momentum': 'much'\}; allowed",
        ),
        ({"name": "lbfgs"}, r"config\.optimizer\.name: 'lbfgs' given .* from gradients alone"),
    ],
)
def test_bad_fields_are_named(fields, message):
    def both():
        return optimizers.build(config(**fields), optimizers.schedule(config(**fields), 10, 1))

    with pytest.raises(InputError, match=message):
        both()
