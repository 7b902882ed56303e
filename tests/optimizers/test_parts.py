"""Rates and freezing of parts of a model: which parts, and what becomes of their updates."""

import jax
import numpy as np
import optax
import pytest

from configs import fdah
from jhash import optimizers
from jhash.errors import InputError
from jhash.experiment import build
from jhash.optimizers import parts
from jhash.runs import workdirs
from tests.support import tiny

PARAMS = {
    "Conv_0": {"kernel": np.ones((2, 3), np.float32)},
    "Dense_1": {"kernel": np.full((3, 2), 2.0, np.float32), "bias": np.zeros(2, np.float32)},
    "Dense_10": {"kernel": np.full((2, 2), 3.0, np.float32)},
}
GRADIENTS = jax.tree.map(
    lambda leaf: np.cos(leaf + np.arange(leaf.size).reshape(leaf.shape), dtype=np.float32), PARAMS
)


@pytest.mark.parametrize(
    ("rates", "conv", "kernel", "bias", "ten"),
    [
        ({"Dense_1": 10}, 1, 10, 10, 1),
        ({"Dense_*": 10}, 1, 10, 10, 10),
        ({"Dense_1/bias": 0}, 1, 1, 0, 1),
        ({"*/kernel": 0.1, "*": 2}, 0.1, 0.1, 2, 0.1),
        ({"*": 0, "Dense_1": 1}, 0, 1, 1, 0),
        ({"dense_1*": 5, "Conv_[01]": 3}, 3, 1, 1, 1),
    ],
)
def test_the_longest_pattern_of_a_path_or_of_a_module_around_it_counts(
    rates, conv, kernel, bias, ten
):
    factors = parts.factors(rates, PARAMS)
    assert factors["Conv_0"] == {"kernel": conv}
    assert factors["Dense_1"] == {"kernel": kernel, "bias": bias}
    assert factors["Dense_10"] == {"kernel": ten}


def updates(gradients, **fields):
    """The updates of three steps, and the last state."""
    config = fdah.get_config().optimizer
    config.update(learning_rate=0.1, weight_decay=0.01)
    config.update(fields)
    optimizer = optimizers.build(config, 0.1)
    params, state = PARAMS, optimizer.init(PARAMS)
    for _ in range(3):
        step, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, step)
    return params, state


def test_a_rate_is_that_of_an_optimizer_of_its_own():
    """Three steps as by optax alone, each part by an optimizer with its own rate."""
    found, _ = updates(GRADIENTS, name="adamw", rates={"Dense_1": 10.0, "Conv_0": 0.0})
    expected = {}
    for module, rate in (("Dense_1", 1.0), ("Dense_10", 0.1)):
        alone = optax.adamw(rate, weight_decay=0.01)
        params = PARAMS[module]
        state = alone.init(params)
        for _ in range(3):
            step, state = alone.update(GRADIENTS[module], state, params)
            params = optax.apply_updates(params, step)
        expected[module] = params
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-6),
        {module: found[module] for module in expected},
        expected,
    )
    np.testing.assert_array_equal(found["Conv_0"]["kernel"], PARAMS["Conv_0"]["kernel"])


def test_frozen_parameters_have_no_state_and_no_part_in_the_norm():
    plain = {"name": "sgd", "weight_decay": 0.0, "clip_norm": 0.5}
    huge = {**GRADIENTS, "Conv_0": {"kernel": np.full((2, 3), 1e6, np.float32)}}
    found, state = updates(huge, **plain, rates={"Conv_0": 0.0}, arguments={"momentum": 0.0})
    assert not any(leaf.shape == (2, 3) for leaf in jax.tree.leaves(state))
    leaves = [leaf for name in ("Dense_1", "Dense_10") for leaf in jax.tree.leaves(GRADIENTS[name])]
    norm = np.sqrt(sum(np.square(leaf, dtype=np.float64).sum() for leaf in leaves))
    assert norm > 0.5
    expected = PARAMS["Dense_10"]["kernel"] - 3 * 0.1 * GRADIENTS["Dense_10"]["kernel"] * 0.5 / norm
    np.testing.assert_allclose(found["Dense_10"]["kernel"], expected, rtol=1e-5)


def test_nothing_that_is_off_adds_to_the_state():
    """A checkpoint of an earlier version has the state of optax alone."""
    config = fdah.get_config().optimizer
    mine = optimizers.build(config, 0.1).init(PARAMS)
    alone = optax.adamw(0.1, weight_decay=config.weight_decay).init(PARAMS)
    assert jax.tree.structure(mine) == jax.tree.structure(alone)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        (
            {"Dense_2": 10.0},
            r"the pattern 'Dense_2' given, that matches nothing; allowed: .*: Conv_0/\(kernel\), "
            r"Dense_1/\(.*bias.*\), Dense_10/\(kernel\)\.",
        ),
        ({"Dense": 10.0}, "'Dense' given, that matches nothing"),
        ({"*": 1.0, "Conv_0*": 2.0, "Dense_1*": 3.0}, r"'\*' given, whose parameters longer"),
        (
            {"Conv_*": 1.0, "*onv_0": 2.0},
            r"'\*onv_0' and 'Conv_\*' given, which both match Conv_0/",
        ),
        ({"*": 0.0}, r"given, with which all is frozen; allowed: a factor above 0"),
    ],
)
def test_bad_patterns_are_named(rates, message):
    with pytest.raises(InputError, match=rf"^config\.optimizer\.rates: .*{message}"):
        parts.check(rates, PARAMS)


@pytest.mark.parametrize("factor", [-1.0, "much", True, None])
def test_bad_factors_are_named(factor):
    with pytest.raises(InputError, match=r"^config\.optimizer\.rates\.Dense_1: .* given; allowed"):
        parts.check_values({"Dense_1": factor})


def test_patterns_are_checked_against_the_model():
    config = tiny.get_config()
    config.optimizer.rates = {"Dense_7": 10.0}
    with pytest.raises(InputError, match=r"'Dense_7' given, that matches nothing; .* Conv_0/"):
        build(workdirs.check("none", config))
