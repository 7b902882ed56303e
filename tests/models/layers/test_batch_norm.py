"""BatchNorm against flax's, whose variance is taken in two passes, and one device against eight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen as nn

from jhash import parallel
from jhash.models.layers.batch_norm import BatchNorm
from tests.support.quick import quick_jit

CHANNELS = 5


def random_variables(rng):
    return {
        "params": {
            "scale": rng.normal(size=CHANNELS),
            "bias": rng.normal(size=CHANNELS),
        },
        "batch_stats": {
            "mean": rng.normal(size=CHANNELS),
            "var": rng.uniform(0.5, 2, CHANNELS),
        },
    }


def flax_batch_norm(variables, x, train, relu):
    norm = nn.BatchNorm(not train, momentum=0.99, epsilon=1e-5, use_fast_variance=False)
    y, updates = norm.apply(variables, x, mutable=["batch_stats"])
    return (nn.relu(y) if relu else y), updates["batch_stats"]


def our_batch_norm(variables, x, train, relu):
    y, updates = BatchNorm(relu).apply(variables, x, train, mutable=["batch_stats"])
    return y, updates["batch_stats"]


def assert_equal(found, expected, atol=1e-12):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=atol), found, expected)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("train", [False, True])
def test_outputs_statistics_and_gradients_are_flaxs(train, relu):
    """Over three steps, each from the statistics of the step before."""
    rng = np.random.default_rng(0)
    start = random_variables(rng)
    batches = [(3 + 2 * rng.normal(size=(4, 3, 2, CHANNELS)), rng.normal()) for _ in range(3)]

    def steps(norm):
        def loss(params, stats, x, turn):
            y, stats = norm({"params": params, "batch_stats": stats}, x, train, relu)
            return jnp.sum(jnp.sin(y + turn)), (y, stats)

        gradients = quick_jit(jax.value_and_grad(loss, (0, 2), has_aux=True))
        stats, found = start["batch_stats"], []
        for x, turn in batches:
            (_, (y, stats)), gradient = gradients(start["params"], stats, x, turn)
            found.append((y, stats, gradient))
        return found

    with jax.enable_x64(True):
        found, expected = steps(our_batch_norm), steps(flax_batch_norm)
        assert found[0][0].dtype == jnp.float64
        assert_equal(found, expected)
    change = np.asarray(found[-1][1]["mean"]) - start["batch_stats"]["mean"]
    assert (np.abs(change).max() > 1e-3) == train


@pytest.mark.slow
def test_eight_devices_are_one_with_the_whole_batch():
    """Outputs, statistics, and the gradients of a loss of the gathered outputs."""
    rng = np.random.default_rng(1)
    devices = parallel.device_count()
    assert devices == 8
    # The devices' means differ: a mean of their own variances would not do.
    x = rng.normal(size=(2 * devices, 3, CHANNELS)) + np.arange(2 * devices)[:, None, None]
    weight = rng.normal(size=x.shape)
    variables = random_variables(rng)

    def loss(params, x, weight, axis_name, gather):
        y, updates = BatchNorm(True, axis_name).apply(
            {"params": params, "batch_stats": variables["batch_stats"]},
            x,
            True,
            mutable=["batch_stats"],
        )
        y = gather(y)
        return jnp.sum(jnp.square(y) * weight), (y, updates["batch_stats"])

    def gradients(params, x, axis_name, gather):
        return jax.value_and_grad(loss, (0, 1), has_aux=True)(params, x, weight, axis_name, gather)

    def step(params, x):
        found, (gradient, x_gradient) = gradients(params, x, parallel.AXIS, parallel.all_gather)
        # A gathered output is in the loss of every device.
        return found, (parallel.pmean(gradient), x_gradient / devices)

    with jax.enable_x64(True):
        found, (gradient, x_gradient) = parallel.map_devices(step)(
            parallel.replicate(variables["params"]), parallel.shard(x)
        )
        expected, (one_gradient, one_x_gradient) = gradients(
            variables["params"], x, None, lambda y: y
        )
        for device in range(devices):
            of_device = jax.tree.map(lambda a, i=device: a[i], (found, gradient))
            assert_equal(of_device, (expected, one_gradient), atol=1e-9)
        assert_equal(x_gradient.reshape(x.shape), one_x_gradient, atol=1e-9)


def test_unbiased_statistics_are_pytorchs():
    """The batch is normalized by the biased variance, and the running one is unbiased."""
    x = np.random.default_rng(0).normal(2, 3, (3, 2, 2, 5)).astype(np.float32)
    theirs = torch.nn.BatchNorm2d(5)
    expected = theirs(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    norm = BatchNorm(momentum=0.9, unbiased=True)
    variables = norm.init(jax.random.key(0), x, True)
    y, changed = norm.apply(variables, x, True, mutable=["batch_stats"])
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(changed["batch_stats"]["mean"], theirs.running_mean, rtol=1e-5)
    np.testing.assert_allclose(changed["batch_stats"]["var"], theirs.running_var, rtol=1e-5)
    # Over devices the number of values is that of the global batch.
    shared = norm.clone(axis_name="devices")

    def apply(x):
        return shared.apply(variables, x, True, mutable=["batch_stats"])[1]["batch_stats"]

    found = jax.vmap(apply, axis_name="devices")(x[:, None])
    np.testing.assert_allclose(found["var"], [theirs.running_var] * 3, rtol=1e-5)


def test_is_made_outside_a_map_and_leaves_the_statistics_alone():
    variables = BatchNorm(axis_name="devices").init(
        jax.random.key(0), 5 + jnp.ones((4, CHANNELS)), True
    )
    ones, zeros = np.ones(CHANNELS), np.zeros(CHANNELS)
    assert_equal(
        variables,
        {"params": {"scale": ones, "bias": zeros}, "batch_stats": {"mean": zeros, "var": ones}},
        atol=0,
    )


@pytest.mark.parametrize("shape", [(16, 3, 3, CHANNELS), (1, 1, 1, CHANNELS)])
@pytest.mark.parametrize(("mean", "deviation"), [(0, 0), (3.3, 0), (1e4, 1e-3), (1e6, 1)])
def test_finite_where_the_variance_vanishes_in_rounding(shape, mean, deviation):
    rng = np.random.default_rng(2)
    x = (mean + deviation * rng.normal(size=shape)).astype(np.float32)
    variables = jax.tree.map(np.float32, random_variables(rng))

    def loss(params, x):
        y, updates = BatchNorm().apply(
            {"params": params, "batch_stats": variables["batch_stats"]},
            x,
            True,
            mutable=["batch_stats"],
        )
        return jnp.sum(jnp.sin(y)), (y, updates)

    (_, (y, updates)), gradient = quick_jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(
        variables["params"], x
    )
    for leaf in jax.tree.leaves((y, updates, gradient)):
        assert np.isfinite(leaf).all()
    # A variance is never negative: the running one loses 1 % at most.
    assert (updates["batch_stats"]["var"] >= 0.9899 * variables["batch_stats"]["var"]).all()
    if deviation == 0:
        bias = np.broadcast_to(variables["params"]["bias"], shape)
        np.testing.assert_allclose(y, bias, rtol=0, atol=2e-3)
