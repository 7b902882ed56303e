"""Losses of logits and of proxies against loops in float64."""

import math

import jax
import numpy as np
import pytest

from jhash.losses import classification, proxy

pytestmark = pytest.mark.usefixtures("quick_compilation")

B, C = 7, 4
IDS = np.array([0, 1, 0, 2, 1, 0, 0], np.int32)
# The last image has no label, and no image has the last class.
ROWS = np.uint8(
    [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0], [1, 1, 1, 0], [0, 1, 0, 0], [0] * 4]
)


def logits(scale=2.0):
    return np.random.default_rng(0).normal(scale=scale, size=(B, C)).astype(np.float32)


def cross_entropy(z, label):
    if np.ndim(label) == 0:
        return math.log(sum(math.exp(x) for x in z)) - z[label]
    return sum(math.log(1 + math.exp(-x if y else x)) for x, y in zip(z, label, strict=True))


@pytest.mark.parametrize("labels", [IDS, ROWS], ids=["ids", "rows"])
def test_the_cross_entropy_is_its_loop(labels):
    z = logits()
    found = classification.cross_entropy(z, labels)
    expected = [cross_entropy(row, label) for row, label in zip(np.float64(z), labels, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    order = np.random.default_rng(1).permutation(B)
    moved = classification.cross_entropy(z[order], labels[order])
    np.testing.assert_allclose(moved, found[order], rtol=1e-6)
    total = jax.value_and_grad(lambda z: classification.cross_entropy(z, labels).sum())
    for extreme in (0 * z, 1e4 * np.sign(z)):
        assert all(np.isfinite(value).all() for value in total(extreme))


def test_the_accuracy_is_a_share_of_images_or_of_labels():
    z = logits()
    assert classification.accuracy(z, IDS) == pytest.approx(np.mean(z.argmax(1) == IDS))
    assert classification.accuracy(z, ROWS) == pytest.approx(np.mean((z > 0) == ROWS))


def anchors(cosines, rows, alpha, delta, threshold):
    """Both losses of each class."""
    far, near = [0.0] * C, [0.0] * C
    for c in range(C):
        for i in range(B):
            if rows[i][c]:
                far[c] += math.exp(alpha * max(0, 1 - delta - cosines[i][c])) - 1
            else:
                near[c] += math.exp(alpha * max(0, cosines[i][c] - threshold - delta)) - 1
    return [math.log(1 + x) for x in far], [math.log(1 + x) for x in near]


@pytest.mark.parametrize("labels", [IDS, ROWS], ids=["ids", "rows"])
def test_the_hinges_of_proxies_are_their_loop(labels):
    cosines = np.random.default_rng(2).uniform(-1, 1, (B, C)).astype(np.float32)
    options = {"alpha": 16.0, "delta": 0.2, "threshold": -0.1}
    rows = np.eye(C)[labels] if labels.ndim == 1 else labels
    found = proxy.hinge_anchor_loss(cosines, labels, **options)
    expected = anchors(np.float64(cosines), rows, **options)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert found[0][3] == 0, "no image has the last class"
    order = np.random.default_rng(1).permutation(B)
    moved = proxy.hinge_anchor_loss(cosines[order], labels[order], **options)
    np.testing.assert_allclose(moved, found, rtol=1e-5)
    total = jax.value_and_grad(lambda x: sum(proxy.hinge_anchor_loss(x, labels, **options)).sum())
    for extreme in (0 * cosines, np.sign(cosines)):
        assert all(np.isfinite(value).all() for value in total(extreme))
