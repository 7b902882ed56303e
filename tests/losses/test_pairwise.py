"""The pairwise losses against loops over pairs and bits written from the papers, in float64."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jhash.losses import pairwise
from tests.support import precisions

pytestmark = pytest.mark.usefixtures("quick_compilation")

READINGS = {"hinge": lambda d: max(0.0, d), "abs": abs, "printed": lambda d: d}


def codes(batch, bits, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).uniform(0.25, 0.75, (batch, bits)).astype(dtype)


def class_pairs(batch):
    """Two images per class, as in DAH's batches."""
    return pairwise.similar(np.arange(batch) % max(1, batch // 2))


def loop_similar(labels):
    """Eq. 3 for 0/1 labels."""
    batch = len(labels)
    return [
        [any(a == b == 1 for a, b in zip(labels[i], labels[j], strict=True)) for j in range(batch)]
        for i in range(batch)
    ]


def loop_distance(x, similar, threshold, dissimilar):
    """Eq. 2."""
    batch, bits = x.shape
    loss = np.zeros((batch, batch))
    for i, j in itertools.product(range(batch), repeat=2):
        gaps = [abs(float(x[i, k]) - float(x[j, k])) for k in range(bits)]
        if similar[i][j]:
            loss[i, j] = sum(gap**2 for gap in gaps)
        else:
            loss[i, j] = READINGS[dissimilar](threshold + sum(math.log(1 - gap) for gap in gaps))
    return loss


def loop_likelihood(u, similar):
    """AIHN eq. 7; log(1 + e^beta) in float64, where e^beta is at hand up to beta = 700."""
    batch, bits = u.shape
    loss = np.zeros((batch, batch))
    for i, j in itertools.product(range(batch), repeat=2):
        beta = sum(float(u[i, k]) * float(u[j, k]) for k in range(bits)) / 2
        loss[i, j] = math.log1p(math.exp(beta)) - (beta if similar[i][j] else 0)
    return loss


def loop_balance(x):
    """Eq. 4 for each ordered pair."""
    batch, bits = x.shape
    loss = np.zeros((batch, batch))
    for i, j in itertools.product(range(batch), repeat=2):
        loss[i, j] = sum(float(x[image, k]) - 0.5 for image in (i, j) for k in range(bits)) ** 2
    return loss


def loop_mean(values):
    """Eq. 6."""
    batch = len(values)
    return sum(
        values[i][j] for i, j in itertools.product(range(batch), repeat=2) if i != j
    ) / math.perm(batch, 2)


def test_class_ids_are_similar_when_equal():
    found = pairwise.similar(np.array([3, 0, 3, 1]))
    assert found.dtype == bool
    np.testing.assert_array_equal(
        found, [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]], strict=False
    )


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.float32])
def test_label_rows_are_similar_when_they_share_one(dtype):
    # 256 copies of each label: a count in uint8 would come out as 0.
    labels = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0], [1, 1, 1]]).repeat(256, axis=1)
    found = pairwise.similar(labels.astype(dtype))
    assert found.dtype == bool
    np.testing.assert_array_equal(found, loop_similar(labels))
    assert not found[3].any(), "an image without labels"


@pytest.mark.parametrize("dissimilar", READINGS)
@pytest.mark.parametrize(("batch", "bits"), [(2, 1), (7, 48)])
def test_distance_is_the_papers_of_each_pair(batch, bits, dissimilar):
    x, similar = codes(batch, bits), class_pairs(batch)
    found = pairwise.log_distance_loss(x, similar, threshold=bits / 4.8, dissimilar=dissimilar)
    expected = loop_distance(x, similar, bits / 4.8, dissimilar)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 0)


def test_multi_label_pairs_follow_their_shared_labels():
    labels = np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0]])
    x = codes(4, 12)
    found = pairwise.log_distance_loss(x, pairwise.similar(labels), threshold=2.5)
    expected = loop_distance(x, loop_similar(labels), 2.5, "hinge")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert found[3, 3] == 2.5, "not similar to itself; `mean_over_pairs` leaves it out"


def test_hinge_is_the_default_and_ends_at_the_threshold():
    # Two saturated bits differ: a distance of 2 log 2 = 1.386.
    x = np.full((2, 12), 0.25, np.float32)
    x[1, :2] = 0.75
    apart = np.eye(2, dtype=bool)

    def loss(threshold, **dissimilar):
        return pairwise.log_distance_loss(x, apart, threshold=threshold, **dissimilar)[0, 1]

    at = 2 * math.log(2)
    for below, above in ((at - 0.5, at + 0.5), (0.0, 2.5)):
        assert loss(below) == 0
        np.testing.assert_allclose(loss(above), above - at, rtol=1e-6)
        np.testing.assert_allclose(loss(below, dissimilar="abs"), at - below, rtol=1e-6)
        np.testing.assert_allclose(loss(below, dissimilar="printed"), below - at, rtol=1e-6)
    np.testing.assert_allclose(loss(at), 0, atol=2e-7)


def test_a_saturated_bit_adds_log_one_half():
    x = np.array([[0.25, 0.4], [0.75, 0.4]], np.float32)
    found = pairwise.log_distance_loss(
        x, np.eye(2, dtype=bool), threshold=0.0, dissimilar="printed"
    )
    np.testing.assert_allclose(found[0, 1], math.log(0.5), rtol=1e-7)


def test_close_codes_keep_their_distance():
    # ||x1 - x2||^2 from norms and inner products would lose all digits here.
    x = np.full((3, 48), 0.7, np.float32)
    x[1] += 1e-4
    found = pairwise.log_distance_loss(x, np.ones((3, 3), bool), threshold=10.0)
    gap = np.float64(x[1, 0]) - np.float64(x[0, 0])
    np.testing.assert_allclose(found[0, 1], 48 * gap**2, rtol=1e-5)
    assert found[0, 2] == 0, "equal codes"


@pytest.mark.parametrize(("batch", "bits"), [(2, 1), (7, 48)])
def test_likelihood_is_the_papers_of_each_pair(batch, bits):
    # From all similar to none, multi-label rows included.
    u = np.random.default_rng(0).normal(size=(batch, bits)).astype(np.float32)
    rows = np.random.default_rng(1).integers(0, 2, (batch, 3))
    for similar in (
        class_pairs(batch),
        pairwise.similar(rows),
        np.ones((batch, batch), bool),
        np.zeros((batch, batch), bool),
    ):
        found = pairwise.likelihood_loss(u, similar)
        expected = loop_likelihood(u, np.asarray(similar))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_likelihood_of_known_pairs():
    # beta = 0: both answers are as likely. beta = log 3: similar with probability 3/4.
    u = np.array([[1, 0], [0, 1], [2 * math.log(3), 0]], np.float32)
    for similar, chance in ((True, 3 / 4), (False, 1 / 4)):
        found = pairwise.likelihood_loss(u, np.full((3, 3), similar))
        np.testing.assert_allclose(found[0, 1], math.log(2), rtol=1e-6)
        np.testing.assert_allclose(found[0, 2], -math.log(chance), rtol=1e-6)


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_likelihood_is_stable_for_large_products(size):
    # beta = +-size off the diagonal; in float32, e^beta overflows from 89 on.
    root = np.float32(math.sqrt(2 * size))
    u = np.array([[root], [root], [-root]])
    similar = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], bool)
    value, gradient = jax.jit(
        jax.value_and_grad(lambda u, s: pairwise.likelihood_loss(u, s).sum())
    )(u, similar)
    # (0, 1) and (0, 2) are as their labels want it; (1, 2) costs |beta| in both orders.
    np.testing.assert_allclose(value, 2 * size, rtol=1e-6)
    np.testing.assert_allclose(gradient, [[0], [root], [-root]], rtol=1e-6)
    found = pairwise.likelihood_loss(u, ~similar)
    wrong = np.where(similar == np.sign(u * u.T).astype(int).clip(0), size, 0)
    np.testing.assert_allclose(found, wrong, rtol=1e-6, atol=1e-30)


def test_likelihood_of_nearly_certain_pairs_keeps_its_digits():
    # log(1 + e^20) - 20 is 2.06e-9, far below the spacing of float32 at 20.
    u = np.array([[math.sqrt(40)], [math.sqrt(40)]], np.float32)
    similar = np.ones((2, 2), bool)
    beta = float(u[0, 0]) ** 2 / 2
    value, gradient = jax.value_and_grad(lambda u: pairwise.likelihood_loss(u, similar)[0, 1])(u)
    np.testing.assert_allclose(value, math.exp(-beta), rtol=1e-5)
    np.testing.assert_allclose(gradient, -math.exp(-beta) * u / 2, rtol=1e-5)


def test_likelihood_products_are_not_rounded():
    function = jax.grad(lambda u: pairwise.likelihood_loss(u, class_pairs(4)).sum())
    found = precisions.of_products(function, codes(4, 6))
    assert len(found) == 3, "beta and two factors' gradients"
    assert set(found) == {(jax.lax.Precision.HIGHEST,) * 2}


@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_likelihood_gradients_agree_with_finite_differences(scale):
    with jax.enable_x64(True):
        u = np.random.default_rng(2).normal(scale=scale, size=(6, 12))
        similar = pairwise.similar(np.array([0, 1, 0, 2, 1, 0]))
        for pairs in (similar, ~similar):
            loss = jax.jit(
                lambda u, pairs=pairs: pairwise.mean_over_pairs(pairwise.likelihood_loss(u, pairs))
            )
            check_grads(loss, (u,), order=1, modes=["fwd", "rev"])


def test_balance_is_the_papers_mean_over_the_other_images():
    for batch, bits in ((2, 1), (5, 12), (20, 48)):
        x = codes(batch, bits)
        pairs = loop_balance(x)
        np.fill_diagonal(pairs, 0)
        found = pairwise.balance_loss(x)
        np.testing.assert_allclose(found, pairs.sum(1) / (batch - 1), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.mean(), loop_mean(pairs), rtol=1e-5)


def test_balance_is_of_both_images_together():
    ones, zeros = np.full((1, 8), 0.75, np.float32), np.full((1, 8), 0.25, np.float32)
    np.testing.assert_array_equal(pairwise.balance_loss(np.concatenate([ones, zeros])), 0)
    np.testing.assert_array_equal(pairwise.balance_loss(np.concatenate([ones, ones])), 16)


def test_mean_over_pairs_leaves_out_the_diagonal():
    values = np.random.default_rng(0).normal(size=(5, 5)).astype(np.float32)
    np.fill_diagonal(values, np.nan)
    np.testing.assert_allclose(pairwise.mean_over_pairs(values), loop_mean(values), rtol=1e-5)
    assert pairwise.mean_over_pairs(np.array([[9.0, 1.0], [3.0, 9.0]])) == 2


def objective(x, similar, dissimilar):
    """Eq. 6 with phi1 = phi2 = 1."""
    distance = pairwise.log_distance_loss(
        x, similar, threshold=x.shape[1] / 4.8, dissimilar=dissimilar
    )
    return pairwise.mean_over_pairs(distance) + pairwise.balance_loss(x).mean()


@pytest.mark.slow
@pytest.mark.parametrize("dissimilar", READINGS)
def test_gradients_agree_with_finite_differences(dissimilar):
    with jax.enable_x64(True):
        x, similar = codes(6, 12, dtype=np.float64), class_pairs(6)
        distances = loop_distance(x, similar, 12 / 4.8, "printed")[~np.asarray(similar)]
        assert distances.min() < -1e-3, "far beyond the threshold"
        assert distances.max() > 1e-3, "short of it"
        assert np.abs(distances).min() > 1e-3, "no kink near"
        compiled = jax.jit(lambda x: objective(x, similar, dissimilar))
        check_grads(compiled, (x,), order=1, modes=["fwd", "rev"])


@pytest.mark.slow
@pytest.mark.parametrize("dissimilar", READINGS)
def test_values_and_gradients_are_finite_at_the_edges(dissimilar):
    similar = class_pairs(8)
    gradient = jax.jit(jax.value_and_grad(lambda x: objective(x, similar, dissimilar)))
    for x in (
        np.random.default_rng(0).choice([0.25, 0.75], (8, 24)),
        np.full((8, 24), 0.25),
        np.repeat([np.full(24, 0.25), np.full(24, 0.75)], 4, axis=0),
    ):
        for value in jax.tree.leaves(gradient(x.astype(np.float32))):
            assert np.isfinite(value).all()


def test_the_smallest_batch_has_finite_gradients():
    x, apart = np.array([[0.25], [0.75]], np.float32), np.eye(2, dtype=bool)
    value, gradient = jax.jit(jax.value_and_grad(objective), static_argnums=2)(x, apart, "printed")
    # t + log(1/2), and derivatives of log(1 - (x2 - x1)); the balance is at its minimum.
    np.testing.assert_allclose(value, 1 / 4.8 + math.log(0.5), rtol=1e-6)
    np.testing.assert_allclose(gradient, [[2.0], [-2.0]], rtol=1e-6)


def test_ties_have_no_gradient():
    # Equal codes, similar or not: |.| has the sub-gradient 0 at 0.
    x, apart = np.full((4, 6), 0.6, np.float32), np.eye(4, dtype=bool)
    for similar in (apart, ~apart):
        found = jax.grad(
            lambda x, similar=similar: pairwise.log_distance_loss(x, similar, threshold=1.25).sum()
        )(x)
        np.testing.assert_array_equal(found, 0)


def test_codes_beyond_the_shrink_sigmoid_are_finite():
    # Dissimilar bits closer than 1, similar ones 1 apart, as a plain sigmoid gives them.
    x = np.array([[0, 0], [1 - 2.0**-24, 0.5], [1, 0]], np.float32)
    similar = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], bool)
    gradient = jax.jit(jax.value_and_grad(objective), static_argnums=2)
    for value in jax.tree.leaves(gradient(x, similar, "printed")):
        assert np.isfinite(value).all()


def test_the_dtype_is_kept():
    with jax.enable_x64(True):
        for dtype in (np.float32, np.float64):
            x = codes(4, 12, dtype=dtype)
            similar = class_pairs(4)
            distance = pairwise.log_distance_loss(x, similar, threshold=np.float64(2.5))
            expected = loop_distance(x, similar, 2.5, "hinge")
            tolerance = 1e-5 if dtype == np.float32 else 1e-13
            np.testing.assert_allclose(distance, expected, rtol=tolerance, atol=tolerance)
            likelihood = pairwise.likelihood_loss(x, similar)
            expected = loop_likelihood(x, np.asarray(similar))
            np.testing.assert_allclose(likelihood, expected, rtol=tolerance, atol=tolerance)
            assert distance.dtype == likelihood.dtype == dtype
            assert pairwise.balance_loss(x).dtype == dtype
            assert pairwise.mean_over_pairs(distance).dtype == dtype


def array_sizes(jaxpr):
    """Elements of every array that a jaxpr computes, those of the jaxprs inside it included."""
    for equation in jaxpr.eqns:
        yield from (math.prod(out.aval.shape) for out in equation.outvars)
        for parameter in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns")
        ):
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                yield from array_sizes(inner)


def test_no_array_holds_every_bit_of_every_pair():
    batch, bits = 24, 20
    x, similar = codes(batch, bits), class_pairs(batch)

    def largest(function):
        return max(array_sizes(jax.make_jaxpr(jax.value_and_grad(function))(x).jaxpr))

    for dissimilar in READINGS:
        found = largest(lambda x, f=dissimilar: objective(x, similar, f))
        assert batch * bits <= found <= batch * max(batch, bits)

    def in_a_map(x):
        # Without rematerialization the map's residuals are stacked to B x B x L.
        return jax.lax.map(lambda row: jnp.log(1 - jnp.abs(row - x)).sum(), x).sum()

    assert largest(in_a_map) >= batch * batch * bits, "the search must see inside of loops"


def test_bad_input_is_refused():
    x, similar = codes(4, 6), class_pairs(4)
    with pytest.raises(ValueError, match="'square' given; allowed: 'hinge', 'abs', 'printed'"):
        pairwise.log_distance_loss(x, similar, threshold=1.25, dissimilar="square")
    with pytest.raises(AssertionError):
        pairwise.log_distance_loss(x, similar[:3], threshold=1.25)
    with pytest.raises(AssertionError):
        pairwise.log_distance_loss(x, 2 * similar.astype(np.int32) - 1, threshold=1.25)
    for u, pairs in (
        (x[0], similar),
        (x, similar[:3]),
        (x[:3], similar),
        (x, 2 * similar.astype(np.int32) - 1),
    ):
        with pytest.raises(AssertionError):
            pairwise.likelihood_loss(u, pairs)
    with pytest.raises(AssertionError):
        pairwise.similar(np.zeros((2, 2, 2), np.int32))
    with pytest.raises(AssertionError):
        pairwise.mean_over_pairs(np.zeros((3, 4)))
    for single in (
        lambda: pairwise.balance_loss(x[:1]),
        lambda: pairwise.mean_over_pairs(np.zeros((1, 1))),
    ):
        with pytest.raises(ValueError, match="batch: 1 given; allowed: 2 images or more"):
            single()
