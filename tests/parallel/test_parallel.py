"""Simulated devices: a batch that not all can share, and steps that do not overlap."""

import jax
import numpy as np
import pytest

from jhash import parallel
from jhash.errors import InputError


@pytest.mark.parametrize(
    ("batch_size", "idle", "devices"),
    [(16, False, 8), (16, True, 8), (20, True, 5), (7, True, 7), (11, True, 1), (1, True, 1)],
)
def test_as_many_devices_as_can_share_a_batch(batch_size, idle, devices):
    assert parallel.training_devices(batch_size, idle) == devices


def test_a_batch_that_cannot_be_shared_is_refused_with_the_way_out():
    with pytest.raises(
        InputError, match=r"batch_size: 20 given.*devices, 8\. With idle_devices=True"
    ):
        parallel.training_devices(20, False)
    with pytest.raises(InputError, match=r"batch_size: 0 given.*devices, 8\.$"):
        parallel.training_devices(0, True)
    with pytest.raises(InputError, match=r"my\.field: 12 given.*devices, 5\.$"):
        parallel.check_batch_size("my.field", 12, 5)


@pytest.mark.parametrize("devices", [None, 5])
def test_a_step_sees_the_global_batch(devices):
    used = devices or 8
    batch = np.arange(2.0 * used).reshape(2 * used, 1)

    def step(factor, share):
        places = parallel.positions(len(share))
        return factor * parallel.all_gather(share), parallel.pmean(share.sum()), places

    mapped = parallel.map_devices(step)
    everything, mean, places = mapped(
        parallel.replicate(np.float32(3), devices), parallel.shard(batch, devices)
    )
    assert len(everything.sharding.device_set) == used
    np.testing.assert_array_equal(everything, np.broadcast_to(3 * batch, (used, *batch.shape)))
    np.testing.assert_allclose(mean, batch.sum() / used)
    np.testing.assert_array_equal(jax.device_get(places).ravel(), np.arange(2 * used))


def test_simulated_devices_end_before_anything_else_begins():
    step = parallel.map_devices(lambda x: parallel.pmean(x @ x.T))
    products = step(np.ones((8, 300, 300), np.float32))
    assert products.is_ready()
    product = parallel.unreplicate(products)
    assert product.devices() == {jax.local_devices()[0]}
    np.testing.assert_array_equal(product, np.full((300, 300), 300))


@pytest.mark.parametrize("question", ["device_count", "is_main", "process_count"])
@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("no such\nbackend")])
def test_a_platform_that_does_not_start_is_named(monkeypatch, error, question):
    def fail():
        raise error

    monkeypatch.setattr(jax, "process_count", fail)
    monkeypatch.setattr(jax, "process_index", fail)
    with pytest.raises(InputError, match=r"^JAX_PLATFORMS: 'cpu' given; allowed: platforms") as no:
        getattr(parallel, question)()
    assert ("(no such backend)" in str(no.value)) == bool(str(error))
