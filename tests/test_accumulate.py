"""Batches in parts: the loss and the gradient of the whole batch, in float64."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from flax import linen as nn

from jhash import parallel, train
from jhash.data import batches
from jhash.errors import InputError
from jhash.experiment import build
from jhash.losses import pairwise
from jhash.runs import workdirs
from tests.support import tiny


class Plain(nn.Module):
    """A model in which an image does not depend on the others of a batch, and its statistics."""

    bits: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train):
        nn.BatchNorm(not train, axis_name=self.axis_name, momentum=0.5)(x)
        x = nn.Conv(4, (3, 3))(x)
        return nn.Dense(self.bits)(jnp.tanh(x).reshape(len(x), -1))


def losses(outputs, labels):
    """A mean over samples and a mean over pairs, of which parts would lose most."""
    mean = jnp.mean(jnp.square(outputs - 1), axis=(-1, -2))
    pairs = pairwise.likelihood_loss(outputs, pairwise.similar(labels))
    return mean + 10 * pairwise.mean_over_pairs(pairs)


@pytest.mark.usefixtures("quick_compilation")
def test_parts_of_a_batch_have_the_gradient_of_the_whole(monkeypatch):
    monkeypatch.setattr(jax, "local_device_count", lambda: 2)
    config = tiny.get_config()
    config.model = {"name": f"{__name__}.Plain"}
    experiment = build(workdirs.check("none", config))
    (batch,) = batches.prefetch(experiment.data.source, np.arange(16)[None])

    def value_and_gradient(accumulate):
        changed = ml_collections.ConfigDict(experiment.config)
        changed.accumulate = accumulate
        parted = dataclasses.replace(experiment, config=ml_collections.FrozenConfigDict(changed))
        forward = train.make_forward(parted)

        def step(train_state, batch):
            def objective(params):
                outputs, seen, stats = forward(params, train_state, batch)
                return losses(outputs, seen["labels"]), stats

            value, gradient = jax.value_and_grad(objective, has_aux=True)(train_state.params)
            return value, parallel.pmean(gradient)

        train_state = jax.tree.map(
            lambda leaf: leaf.astype(np.float64) if leaf.dtype == np.float32 else leaf,
            experiment.first()["train_state"],
        )
        mapped = parallel.map_devices(step)
        found = mapped(parallel.replicate(train_state), parallel.shard(batch))
        return jax.device_get(parallel.unreplicate(found))

    with jax.enable_x64(True):
        (whole, whole_stats), whole_gradient = value_and_gradient(1)
        (value, stats), gradient = value_and_gradient(4)
    assert whole_gradient["Dense_0"]["kernel"].dtype == np.float64
    assert value == pytest.approx(whole, rel=1e-12)
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13),
        gradient,
        whole_gradient,
    )
    # Means are those of the batch, variances the means of those within the parts.
    found, expected = stats["BatchNorm_0"], whole_stats["BatchNorm_0"]
    np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-6)
    assert (found["var"] < expected["var"]).all()


@pytest.mark.parametrize("views", [None, 2])
def test_outputs_of_parts_are_joined_in_the_order_of_the_batch(views):
    """With several views, outputs have an axis of views before that of samples."""
    images = jnp.arange(12.0).reshape(6, 2)

    def apply(images, keys, dropout):
        assert len(images) == len(keys) == 2
        outputs = images if views is None else jnp.stack([images, -images])
        return outputs, {"mean": images.mean(axis=0)}

    keys = jax.random.split(jax.random.key(0), 6)
    parts = train._in_parts(apply, 3, batch_axis=0 if views is None else 1)
    outputs, stats = parts(images, keys, jax.random.key(1))
    expected = images if views is None else jnp.stack([images, -images])
    np.testing.assert_array_equal(outputs, expected)
    np.testing.assert_allclose(stats["mean"], images.mean(0))


def test_parts_that_are_not_equal_are_refused(monkeypatch):
    monkeypatch.setattr(jax, "local_device_count", lambda: 2)
    config = tiny.get_config()
    config.accumulate = 3
    message = r"config\.accumulate: 3 given; allowed: divisors of 8, which is config\.batch_size on"
    with pytest.raises(InputError, match=message):
        build(workdirs.check("none", config))
