"""AIHN: its objective against float64 NumPy, and what it refuses."""

import jax
import ml_collections
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from configs import aihn as configs
from jhash import optimizers
from jhash.data import ArraySource, Data
from jhash.errors import InputError
from jhash.experiment import build
from jhash.methods.deep import aihn
from jhash.runs import workdirs
from tests.support import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")

CLASS_IDS = np.array([0, 1, 0, 2, 1, 0, 3], np.int32)
# The last image has no label: similar to none.
LABEL_ROWS = np.array(
    [[1, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 0]], np.uint8
)


def config_of(quantization):
    return ml_collections.FrozenConfigDict({"method": {"quantization": quantization}})


def outputs(scale=1.0, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(scale=scale, size=(7, 6)).astype(dtype)


def reference(u, labels, weight):
    """Eq. 9 with means, pair by pair, in float64."""
    u, size = np.float64(u), len(u)
    likelihood = 0.0
    for i in range(size):
        for j in range(size):
            if i == j:
                continue
            similar = labels[i] == labels[j] if labels.ndim == 1 else any(labels[i] & labels[j])
            beta = u[i] @ u[j] / 2
            likelihood -= similar * beta - np.log1p(np.exp(beta))
    quantization = sum(((np.where(u[i] > 0, 1, -1) - u[i]) ** 2).sum() for i in range(size))
    return {
        "likelihood": likelihood / (size * (size - 1)),
        "quantization": weight * quantization / size,
    }


def loss_of(labels, weight):
    return jax.jit(lambda u: aihn.loss(u, {"labels": labels}, {}, config_of(weight)))


@pytest.mark.parametrize("labels", [CLASS_IDS, LABEL_ROWS], ids=["single", "multi"])
@pytest.mark.parametrize("weight", [0.0, 0.7, 10.0])
def test_the_objective_equals_the_paper(labels, weight):
    u = outputs(scale=2)
    expected = reference(u, labels, weight)
    total, aux = loss_of(labels, weight)(u)
    assert aux.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(aux[name], value, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(total, sum(expected.values()), rtol=1e-5)


@pytest.mark.parametrize("labels", [CLASS_IDS, LABEL_ROWS], ids=["single", "multi"])
def test_gradients_agree_with_finite_differences(labels):
    with jax.enable_x64(True):
        u = outputs(dtype=np.float64)
        assert np.abs(u).min() > 1e-3, "no jump near"
        loss = loss_of(labels, 0.7)
        check_grads(lambda u: loss(u)[0], (u,), order=1, modes=["fwd", "rev"])


def test_large_outputs_have_exact_gradients():
    # beta = +-1e4: every sigmoid is 0 or 1, so a pair's gradient is (sigmoid - s) u_j / 2.
    root = np.float32(np.sqrt(2e4))
    u = np.where(outputs()[:, :1] > 0, root, -root)
    value, gradient = jax.value_and_grad(lambda u: loss_of(CLASS_IDS, 0.7)(u)[0])(u)
    others = ~np.eye(7, dtype=bool)
    similar = CLASS_IDS[:, None] == CLASS_IDS
    residual = np.where(others, np.float64(u * u.T > 0) - similar, 0)
    # Each pair stands in the sum twice; lambda's term adds 2 (u - sgn(u)).
    expected = 2 * residual @ u / 2 / (7 * 6) + 0.7 * 2 * (u - np.sign(u)) / 7
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)
    expected = 1e4 * np.abs(residual)[others].mean() + 0.7 * (root - 1) ** 2
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_the_balance_of_the_terms_does_not_depend_on_the_batch():
    # Twice the same pairs of classes: means stay but for the pairs of an image with itself.
    u = outputs()
    ones = {"labels": np.arange(7, dtype=np.int32)}
    twice = {"labels": np.arange(14, dtype=np.int32)}
    _, few = aihn.loss(u, ones, {}, config_of(1.0))
    _, many = aihn.loss(np.concatenate([u, u]), twice, {}, config_of(1.0))
    np.testing.assert_allclose(many["quantization"], few["quantization"], rtol=1e-6)
    own = np.logaddexp(0, np.square(np.float64(u)).sum(1) / 2).mean()
    expected = (12 * few["likelihood"] + own) / 13
    np.testing.assert_allclose(many["likelihood"], expected, rtol=1e-5)


def test_hash_outputs_are_the_outputs():
    for u in (outputs(), jax.numpy.asarray(outputs()), np.zeros((0, 6), np.float32)):
        assert aihn.hash_outputs(u) is u


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_refused(bad):
    u = outputs()
    u[1, 2] = u[4, 0] = u[4, 5] = bad
    message = r"^outputs: NaN or infinity given for 2 of 7 images; allowed: finite numbers\."
    message += r".*left the range of the lattice.*config\.model\.lattice.* a wider range"
    for values in (u, jax.numpy.asarray(u)):
        with pytest.raises(InputError, match=message):
            aihn.hash_outputs(values)


def losses_of_a_head(config, steps):
    """Losses of a hash layer on features as wide as the paper's, by the config's optimizer.

    The features are as after BatchNorm, ReLU and pooling: none is negative, so that all images have
    much in common. The loss is steep along it.
    """
    rng = np.random.default_rng(0)
    labels = np.arange(config.batch_size, dtype=np.int32) % 10
    normal = rng.normal(size=(10, 3072))[labels] + rng.normal(size=(len(labels), 3072))
    features = np.float32(np.maximum(normal / 2**0.5, 0))
    kernel = np.float32(rng.normal(size=(3072, 16)) / 3072**0.5)
    rate = optimizers.schedule(config.optimizer, steps, steps)
    optimizer = optimizers.build(config.optimizer, rate)

    @jax.jit
    def step(kernel, moments):
        def loss(kernel):
            return aihn.loss(features @ kernel, {"labels": labels}, {}, config)[0]

        value, gradient = jax.value_and_grad(loss)(kernel)
        updates, moments = optimizer.update(gradient, moments, kernel)
        return optax.apply_updates(kernel, updates), moments, value

    moments, values = optimizer.init(kernel), []
    for _ in range(steps):
        kernel, moments, value = step(kernel, moments)
        values.append(float(value))
    return values


@pytest.mark.parametrize("argument", ["cifar10", "nus_wide81"])
def test_the_papers_rate_trains_a_head_as_wide_as_the_papers(argument):
    config = configs.get_config(argument)
    values = losses_of_a_head(config, 80)
    assert max(values) == values[0]
    assert max(values[-10:]) < values[0] / 10
    config.optimizer.clip_norm = 0.0
    assert max(losses_of_a_head(config, 4)) > 1000 * values[0]


def tiny_config(**fields):
    config = tiny.get_config()
    config.method = {"name": "aihn", "quantization": 10.0}
    config.update_from_flattened_dict(fields)
    return config


@pytest.mark.parametrize("multi_label", [False, True])
def test_both_kinds_of_labels_are_prepared(multi_label):
    config = tiny_config(**{"data.options.multi_label": multi_label})
    experiment = build(workdirs.check("none", config))
    assert experiment.data.multi_label == multi_label
    assert experiment.state == {}
    assert experiment.method.loss is aihn.loss
    assert experiment.method.hash_outputs is aihn.hash_outputs


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("method.quantization", -0.1, r"quantization: -0\.1 given; allowed: a finite number >= 0"),
        ("method.quantization", float("inf"), r"config\.method\.quantization: inf given"),
        ("method.quantization", float("nan"), r"config\.method\.quantization: nan given"),
        ("batch_size", 1, r"config\.batch_size: 1 given; allowed: 2 or more"),
    ],
)
def test_bad_fields_are_named(field, value, message):
    with pytest.raises(InputError, match=message):
        build(workdirs.check("none", tiny_config(**{field: value, "idle_devices": True})))


def test_data_without_labels_are_refused():
    images = ArraySource(np.zeros((4, 2, 2, 1), np.uint8), np.zeros((4, 3), np.uint8))
    data = Data(images, np.arange(3), np.arange(3), np.arange(3, 4))
    with pytest.raises(InputError, match=r"of which no training image has a label.*aihn learns"):
        aihn.prepare(tiny_config(), data, jax.random.key(0))
