"""Multi-label losses against PyTorch's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.test_util import check_grads

from jhash.losses import multi_label

BATCH, LABELS = 7, 12
LOSSES = (multi_label.binary_cross_entropy, multi_label.margin, multi_label.soft_margin)


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    logits = (3 * rng.normal(size=(BATCH, LABELS))).astype(np.float32)
    labels = rng.integers(0, 2, (BATCH, LABELS))
    labels[0], labels[1] = 0, 1
    return logits, labels


def torch_margin_targets(labels):
    """The indices of the ones, then -1: the form that PyTorch takes."""
    targets = np.full(labels.shape, -1)
    for row, target in zip(labels, targets, strict=True):
        ones = np.flatnonzero(row)
        target[: len(ones)] = ones
    return torch.from_numpy(targets)


def test_values_are_pytorch_s(case):
    logits, labels = case
    z, h = torch.from_numpy(logits), torch.from_numpy(labels)
    functional = torch.nn.functional
    expected = {
        multi_label.binary_cross_entropy: functional.binary_cross_entropy_with_logits(
            z, h.float(), reduction="none"
        ).sum(1),
        multi_label.margin: functional.multilabel_margin_loss(
            z, torch_margin_targets(labels), reduction="none"
        ),
        multi_label.soft_margin: functional.multilabel_soft_margin_loss(
            z, h.float(), reduction="none"
        ),
    }
    for loss, values in expected.items():
        np.testing.assert_allclose(loss(logits, labels), values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_finite_differences(case, loss):
    logits, labels = case
    with jax.enable_x64(True):
        z = jnp.asarray(logits, jnp.float64)
        check_grads(lambda z: loss(z, labels), (z,), order=1, modes=["rev"])


@pytest.mark.parametrize("loss", LOSSES)
def test_large_logits_stay_finite_and_exact(loss):
    logits = jnp.array([[1e4, -1e4, 1e4, -1e4]])
    right = loss(logits, jnp.array([[1, 0, 1, 0]]))
    wrong, gradient = jax.value_and_grad(lambda z: loss(z, jnp.array([[0, 1, 0, 1]])).sum())(logits)
    np.testing.assert_array_equal(right, 0)
    assert wrong > 1e4 * 0.99
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_shapes_must_fit(loss):
    with pytest.raises(AssertionError):
        loss(jnp.zeros((3, 4)), jnp.zeros((3, 5)))
    with pytest.raises(AssertionError):
        loss(jnp.zeros(3), jnp.zeros(3))
