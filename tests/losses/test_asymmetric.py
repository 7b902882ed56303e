"""The asymmetric losses against sums written out over all images, in float64."""

import jax
import numpy as np
import pytest
from jax.test_util import check_grads

from jhash.losses import asymmetric


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    groups = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 1, 0]], np.float32)
    counts = np.array([3, 1, 0, 4], np.float32)
    return {
        "groups": groups,
        "counts": counts,
        "labels": np.repeat(groups, counts.astype(int), axis=0).astype(np.float64),
        "queries": np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]], np.float32),
        "u": np.tanh(rng.normal(size=(4, 6))).astype(np.float32),
        "predicted": rng.normal(size=(4, 6)).astype(np.float32),
        "codes": np.sign(rng.normal(size=(4, 6))).astype(np.float32),
    }


def of_images(values, problem):
    return np.repeat(values, problem["counts"].astype(int), axis=0).astype(np.float64)


def test_affinity_marks_shared_labels(problem):
    expected = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(
        asymmetric.affinity(problem["queries"], problem["groups"]), expected
    )


def test_inner_product_loss_is_the_sum_over_images(problem):
    similar = asymmetric.affinity(problem["queries"], problem["groups"])
    found = asymmetric.inner_product_loss(
        problem["u"], problem["predicted"], similar, problem["counts"]
    )
    s = 2.0 * (problem["queries"] @ problem["labels"].T > 0) - 1
    inner = problem["u"].astype(np.float64) @ of_images(problem["predicted"], problem).T
    np.testing.assert_allclose(found, ((inner - 6 * s) ** 2).sum(1), rtol=1e-5)


def test_reconstruction_loss_is_the_mean_over_similar_images(problem):
    similar = asymmetric.affinity(problem["queries"], problem["groups"])
    found = asymmetric.reconstruction_loss(
        problem["u"], problem["codes"], similar, problem["counts"]
    )
    a = problem["queries"] @ problem["labels"].T > 0
    b = of_images(problem["codes"], problem)
    squared = ((b[None] - problem["u"].astype(np.float64)[:, None]) ** 2).sum(-1)
    expected = (squared * a).sum(1) / np.maximum(a.sum(1), 1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found[-1] == 0, "nothing is similar to the last query"


def test_gradients_agree_with_finite_differences(problem):
    similar = asymmetric.affinity(problem["queries"], problem["groups"])

    def inner(u, predicted):
        return asymmetric.inner_product_loss(u, predicted, similar, problem["counts"])

    def reconstruction(u, codes):
        return asymmetric.reconstruction_loss(u, codes, similar, problem["counts"])

    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: np.asarray(x, np.float64), problem)
        check_grads(inner, (wide["u"], wide["predicted"]), order=1, modes=["rev"])
        check_grads(reconstruction, (wide["u"], wide["codes"]), order=1, modes=["rev"])


def test_mismatched_bits_are_refused(problem):
    with pytest.raises(AssertionError):
        asymmetric.inner_product_loss(
            problem["u"][:, :5], problem["predicted"], np.ones((4, 4)), problem["counts"]
        )
    with pytest.raises(AssertionError):
        asymmetric.affinity(problem["queries"][:, :2], problem["groups"])
