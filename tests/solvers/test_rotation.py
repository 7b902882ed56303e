"""The rotation of ITQ against its published steps in float64 and against faiss."""

import faiss
import jax
import numpy as np
import pytest

from jhash.solvers import rotation
from tests.support import correlated

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def features():
    return correlated.features()


def test_the_loss_of_itq_never_rises_and_its_steps_are_the_published_ones(features):
    centered, projection = correlated.float64_components(features, 6)
    projected = (centered @ projection).astype(np.float32)
    turned, losses = rotation.rotate(projected, KEY)
    losses = np.asarray(losses, np.float64)
    assert (np.diff(losses) <= 1e-6 * losses[0]).all()
    assert losses[-1] < 0.999 * losses[0]
    np.testing.assert_allclose(turned.T @ turned, np.eye(6), atol=1e-5)
    # One more step, by hand in float64: an orthogonal Procrustes problem.
    codes = np.where(projected @ turned > 0, 1.0, -1.0)
    left, _, right = np.linalg.svd(projected.astype(np.float64).T @ codes)
    best = np.square(codes - projected @ (left @ right)).sum()
    assert best <= losses[-1] * (1 + 1e-6)
    np.testing.assert_allclose(rotation.rotate(projected, KEY, 51)[0], left @ right, atol=1e-4)


def test_itq_quantizes_as_well_as_that_of_faiss(features):
    centered, projection = correlated.float64_components(features, 8)
    projected = np.ascontiguousarray(centered @ projection, np.float32)
    peer = faiss.ITQMatrix(8)
    peer.max_iter = rotation.ITERATIONS
    peer.train(projected)
    rotated = peer.apply_py(projected)
    theirs = np.square(np.sign(rotated) - rotated).sum()
    # Both end in local minima, from rotations of their own.
    ours = min(float(rotation.rotate(projected, jax.random.key(i))[1][-1]) for i in range(5))
    assert ours < 1.02 * theirs
