"""The thresholds of distances against a loop over pairs."""

import numpy as np
import pytest

from jhash.solvers import distance_tails

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.parametrize("offset", [0.0, 1.5])  # Distances up to 2, and as after a ReLU up to 1.
def test_thresholds_are_those_of_two_halves_of_normal_distributions(offset, monkeypatch):
    monkeypatch.setattr(distance_tails, "_BLOCK", 300)  # Several blocks.
    x = np.random.default_rng(0).normal(size=(70, 6)) + offset
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    distances = np.array([1 - x[i] @ x[j] for i in range(70) for j in range(i)])
    counts, edges = np.histogram(distances, np.arange(201) / 100)
    mode = edges[counts.argmax()]
    left, right = distances[distances < mode], distances[distances >= mode]
    # Reflected at the mode, as the authors do.
    whole = [np.concatenate([side, 2 * mode - side]) for side in (left, right)]
    expected = mode - 2 * whole[0].std(), mode + 2 * whole[1].std()
    found = distance_tails.thresholds(x.astype(np.float32), 2.0)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_alike_and_opposite_samples_have_thresholds():
    x = np.float32([[1, 0], [1, 0], [-1, 0]])
    near, far = distance_tails.thresholds(x, 2.0)
    assert np.isfinite([near, far]).all()
    assert near <= far
