"""Schedules, weight decay and arguments of optimizers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import fdah
from jhash import optimizers
from jhash.errors import InputError
from jhash.system import imports


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


def test_a_gradient_is_clipped_by_its_global_norm_before_weight_decay():
    params = {"x": jnp.full(3, 2.0), "y": jnp.full((2, 2), -1.0)}
    gradient = {"x": jnp.full(3, 3.0), "y": jnp.full((2, 2), 4.0)}  # The norm is sqrt(91).
    for limit, scale in ((1.0, 1 / np.sqrt(91)), (9.6, 1), (0.0, 1)):
        sgd = optimizers.build(config(name="sgd", weight_decay=0.5, clip_norm=limit), 0.1)
        updates, _ = sgd.update(gradient, sgd.init(params), params)
        np.testing.assert_allclose(updates["x"], -0.1 * (3 * scale + 0.5 * 2), rtol=1e-6)
        np.testing.assert_allclose(updates["y"], -0.1 * (4 * scale - 0.5 * 1), rtol=1e-6)


def sign_descent(learning_rate, power=1.0):
    """An optimizer of the user's own; like those of optax, it takes a rate or a schedule."""
    scaled = optax.scale_by_learning_rate(learning_rate)
    return optax.chain(optax.stateless(lambda g, _: jax.tree.map(jnp.sign, g)), scaled)


def triangle(config, steps, steps_per_epoch):
    """A schedule of the user's own."""
    return lambda step: config.learning_rate * (1 - abs(2 * step / steps - 1)) + steps_per_epoch


def test_an_optimizer_and_a_schedule_may_be_the_users_own():
    own = config(name=f"{__name__}.sign_descent", schedule=f"{__name__}.triangle", warmup=0.2)
    assert optimizers.is_own(own)
    rate = optimizers.schedule(own, 100, 3)
    # The warm-up, and then the user's schedule over the 80 steps that follow.
    expected = [0, 0.05, 3.0, 3.1, 3.0]
    np.testing.assert_allclose([rate(step) for step in (0, 10, 20, 60, 100)], expected, atol=1e-6)
    built = optimizers.build(own, rate)
    params = {"x": jnp.array([3.0, -5.0])}
    state = built.init(params)
    for _ in range(11):
        updates, state = built.update(params, state, params)
    np.testing.assert_allclose(updates["x"], [-0.05, 0.05], rtol=1e-5)
    assert not optimizers.is_own(config())


def test_names_of_an_opened_run_lead_to_no_module():
    with imports.opening([]):
        for field in ("name", "schedule"):
            own = config(**{field: "os.system"})
            with pytest.raises(
                InputError, match=rf"^config\.optimizer\.{field}: module 'os' given in"
            ):
                optimizers.build(own, optimizers.schedule(own, 10, 1))


def not_a_schedule(config, steps, steps_per_epoch):
    return lambda step: jnp.ones(3) * step


def broken(config, steps, steps_per_epoch):
    raise KeyError("period")


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
        (
            {"schedule": f"{__name__}.not_a_schedule"},
            r"schedule: .* given; allowed: functions of \(config, .*\(step 0: shape \[3\]\)\.",
        ),
        ({"schedule": f"{__name__}.broken"}, r"schedule: .*broken' given; .*\(KeyError: 'period'"),
        ({"schedule": "nothing.here"}, r"schedule: module 'nothing' given; allowed: a module of"),
        ({"name": f"{__name__}.broken"}, r"name: .*broken' given; allowed: .* my_module.my_opt"),
        (
            {"name": f"{__name__}.sign_descent", "arguments": {"b1": 0.9}},
            r"arguments: b1 given; allowed: arguments of .*sign_descent, power\.",
        ),
        ({"clip_norm": -1.0}, r"optimizer\.clip_norm: -1\.0 given; allowed: a finite number >= 0"),
        ({"average": 1.0}, r"optimizer\.average: 1\.0 given; allowed: \[0, 1\)"),
        (
            {"rates": {"Dense_1": -1}},
            r"optimizer\.rates\.Dense_1: -1 given; allowed: a number from 0",
        ),
        ({"warmup": 1.0}, r"warmup: 1\.0 given; allowed: \[0, 1\)"),
        ({"decay": 0.0}, r"config\.optimizer\.decay: 0\.0 given; allowed: a finite number above 0"),
        (
            {"name": "sgd", "arguments": {"momentum": "much"}},
            r"optimizer\.name: 'sgd' given with the arguments \{'momentum': 'much'\}; allowed",
        ),
        ({"name": "lbfgs"}, r"config\.optimizer\.name: 'lbfgs' given .* from gradients alone"),
        ({"name": "noisy_sgd"}, r"optimizer\.name: 'noisy_sgd' given .*state holds random keys"),
    ],
)
def test_bad_fields_are_named(fields, message):
    def both():
        return optimizers.build(config(**fields), optimizers.schedule(config(**fields), 10, 1))

    with pytest.raises(InputError, match=message):
        both()
