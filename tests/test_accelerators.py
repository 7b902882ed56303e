"""What a step costs an accelerator: bytes for images, donated memory, no waiting for the host."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from jhash import parallel, train
from jhash.data import ArraySource, batches
from jhash.experiment import build
from jhash.runs import workdirs
from tests.support import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def lowered():
    """The step of a run as it is lowered, its train state and the batch that is sent."""
    config = tiny.get_config()
    config.devices = 1
    experiment = build(workdirs.check("none", config))
    train_state = parallel.replicate(experiment.first()["train_state"], 1)
    orders = batches.batch_indices(experiment.epoch_indices(experiment.state, 0), 16)
    batch = next(batches.prefetch(experiment.data.source, orders[:1]))
    share = parallel.shard(batch, 1)
    state = parallel.replicate(experiment.state, 1)
    return train._map_step(experiment).lower(train_state, state, share), train_state, share


def test_images_are_sent_as_bytes(lowered):
    step, _, share = lowered
    assert share["images"].dtype == np.uint8
    text = step.as_text()
    main = text[text.index("@main(") :].partition("->")[0]
    assert main.count("tensor<1x16x8x8x1xui8>") == 1
    assert "8x8x1xf32" not in main


def test_the_memory_of_the_train_state_is_reused(lowered):
    step, train_state, _ = lowered
    compiled = step.compile()
    aliased = compiled.as_text().partition("entry_computation_layout")[0].count("-alias)")
    assert aliased == len(jax.tree.leaves(train_state))
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(train_state))
    assert compiled.memory_analysis().alias_size_in_bytes >= size


class Late:
    """A result on a device; it can be fetched, and no device can compute with it."""

    def __init__(self, events, name, value):
        self.events, self.name, self.value = events, name, value

    def addressable_data(self, index):
        assert index == 0
        return self

    def __array__(self, dtype=None, copy=None):
        self.events.append(f"fetch {self.name}")
        return np.asarray(self.value, dtype)


class Log:
    """The rows that were written, and how often metrics were checked."""

    def __init__(self):
        self.rows, self.checked = [], []

    def check(self, number, epoch, metrics):
        self.checked.append(number)

    def write(self, number, epoch, row):
        self.rows.append((number, row))

    def write_events(self, number, row):
        raise AssertionError("the bar has no rate yet")


def test_an_epoch_waits_for_late_metrics_alone(monkeypatch):
    """The state never comes to the host, and metrics when the next step has begun."""
    events = []
    source = ArraySource(np.zeros((8, 2, 2, 1), np.uint8), np.zeros(8, np.int32))
    config = types.SimpleNamespace(batch_size=2, log_every=2, epochs=1, data={})

    def learning_rate(number):
        events.append(f"rate {int(number) + 1}")
        return Late(events, f"rate {int(number) + 1}", 0.5)

    experiment = types.SimpleNamespace(
        config=config,
        steps_per_epoch=4,
        devices=1,
        data=types.SimpleNamespace(source=source),
        learning_rate=learning_rate,
    )
    numbers = iter(range(1, 5))

    def step(train_state, state, batch):
        number = next(numbers)
        assert batch["images"].dtype == np.uint8
        events.append(f"step {number}")
        state = None if number % 2 else {"kept": Late(events, "state", [0.0])}
        return object(), state, {"loss": Late(events, number, [float(number)])}

    bar = types.SimpleNamespace(
        format_dict={"rate": None}, set_postfix=lambda **_: None, update=lambda _: None
    )
    log = Log()
    epochs = types.SimpleNamespace(steps_done=lambda _: 0, log=log, bar=bar)
    # What the epoch leaves behind is taken out on the device, once, at its end.
    monkeypatch.setattr(parallel, "unreplicate", lambda tree: events.append("end") or tree)
    train._run_epoch(experiment, source, step, object(), {}, np.arange(8), 0, epochs)
    # A rate is begun before the next step, and metrics are fetched after its begin. When step 2 has
    # begun, what is fetched is all of step 1.
    assert events == [
        *("step 1", "step 2", "fetch 1", "rate 2"),
        *("step 3", "fetch 2", "fetch rate 2"),
        *("step 4", "fetch 3", "rate 4", "fetch 4", "fetch rate 4", "end"),
    ]
    assert log.checked == [1, 2, 3, 4]
    assert log.rows == [
        (number, {"learning_rate": 0.5, "loss": float(number)}) for number in (2, 4)
    ]


def test_fetched_is_the_copy_of_the_first_device():
    tree = {"a": np.float32(3), "b": np.arange(3)}
    fetched = parallel.fetch(parallel.replicate(tree))
    assert jax.tree.map(np.shape, fetched) == {"a": (), "b": (3,)}
    jax.tree.map(np.testing.assert_array_equal, fetched, tree)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(fetched))


@pytest.fixture
def own_cache(tmp_path):
    """A folder of compiled programs to which no other test process writes."""
    before = jax.config.jax_compilation_cache_dir

    def use(folder):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        compilation_cache.reset_cache()

    use(tmp_path)
    yield tmp_path
    use(before)


def test_jax_keeps_what_is_compiled(own_cache):
    kept = []
    for _ in range(2):
        jax.clear_caches()
        mapped = parallel.map_devices(lambda x: parallel.pmean(x) + 0.123456)
        np.testing.assert_allclose(mapped(np.zeros(8, np.float32)), jnp.full(8, 0.123456))
        kept.append(set(own_cache.glob("jit__fun-*")))
    assert len(kept[0]) == 1
    assert kept[1] == kept[0]
