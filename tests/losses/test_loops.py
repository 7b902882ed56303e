"""The losses of the supervised methods against loops written from the papers, in float64.

Every loss is finite at outputs of 0 and 1e4, with its gradient, and follows a permutation of the
batch.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash.losses import centers, distance_histogram, multi_label, pairwise, quantization, triplet

pytestmark = pytest.mark.usefixtures("quick_compilation")

B, L, C = 8, 6, 3
# Two similar images of class 0, an image of two classes, one of none, and one similar to most.
ROWS = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [0, 0, 0], [1, 1, 1]])
ROWS = np.concatenate([ROWS, [[0, 1, 0]]])
CENTERS = np.where(np.random.default_rng(7).normal(size=(C, L)) > 0, 1.0, -1.0)
BINS = 4


def sp(x):
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def squared(x, y):
    return sum((a - b) ** 2 for a, b in zip(x, y, strict=True))


def cosine(x, y):
    return dot(x, y) / math.sqrt(dot(x, x) * dot(y, y))


def share_label(rows, i, j):
    return any(a == b == 1 for a, b in zip(rows[i], rows[j], strict=True))


def label_cosine(rows, i, j):
    counts = sum(rows[i]) * sum(rows[j])
    return dot(rows[i], rows[j]) / math.sqrt(counts) if counts else 0.0


def likelihood(u, rows, i, j):
    return sp(1.5 - (1 if share_label(rows, i, j) else -1) * 0.3 * dot(u[i], u[j]))


def contrastive(u, rows, i, j):
    distance = squared(u[i], u[j])
    return (distance if share_label(rows, i, j) else max(0, 12 - distance)) / 2


def cauchy(u, rows, i, j):
    distance = L / 2 * (1 - cosine(u[i], u[j])) + 1e-3
    s = share_label(rows, i, j)
    return s * math.log(distance / 4) + math.log(1 + 4 / distance)


def difference(u, rows, i, j):
    return (dot(u[i], u[j]) / L - label_cosine(rows, i, j)) ** 2


def cosine_difference(u, rows, i, j):
    return (cosine(u[i], u[j]) - label_cosine(rows, i, j)) ** 2


def soft_likelihood(u, rows, i, j):
    s, product = label_cosine(rows, i, j), dot(u[i], u[j])
    if s < 0.01 or s > 0.99:
        return sp(5 / L * product) - s * 5 / L * product
    return 0.1 * L * ((product + L) / (2 * L) - s) ** 2


def triplets(rows, q):
    for p, n in itertools.permutations(set(range(B)) - {q}, 2):
        if share_label(rows, q, p) and not share_label(rows, q, n):
            yield p, n


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0.0


def ranking(u, rows, q):
    return mean(max(0, 1 + squared(u[q], u[p]) - squared(u[q], u[n])) for p, n in triplets(rows, q))


def triplet_likelihood(u, rows, q):
    return mean(sp(-(dot(u[q], u[p]) / 2 - dot(u[q], u[n]) / 2 - 3)) for p, n in triplets(rows, q))


def center(rows, i):
    return CENTERS[list(rows[i]).index(1) if 1 in list(rows[i]) else 0]


def literal_csq(u, rows, i):
    """As published: the binary cross-entropy of (tanh u + 1) / 2 and (c + 1) / 2."""
    terms = []
    for x, c in zip(u[i], center(rows, i), strict=True):
        p, target = (math.tanh(x) + 1) / 2, (c + 1) / 2
        terms.append(-(target * math.log(p) + (1 - target) * math.log(1 - p)))
    return mean(terms)


def polarization(u, rows, i):
    return sum(
        max(0, 1 - x * t)
        for k in range(C)
        if rows[i][k]
        for x, t in zip(u[i], CENTERS[k], strict=True)
    )


def cosine_margin(angular):
    def loss(u, rows, i):
        cosines = [cosine(u[i], CENTERS[k]) for k in range(C)]
        logits = [
            8 * (c if not own else math.cos(math.acos(c) + 0.2) if angular else c - 0.2)
            for c, own in zip(cosines, rows[i], strict=True)
        ]
        total = math.log(sum(map(math.exp, logits)))
        return mean(total - z for z, own in zip(logits, rows[i], strict=True) if own)

    return loss


def cosines(u):
    return pairwise.unit_rows(u) @ CENTERS.T.astype(u.dtype) / math.sqrt(L)


def centers_of(rows):
    return jnp.asarray(CENTERS, jnp.float32)[jnp.argmax(rows, axis=1)]


def magnitude(power):
    return lambda u, rows, i: sum(abs(abs(x) - 1) ** power for x in u[i])


def log_cosh(u, rows, i):
    return sum(math.log(math.cosh(abs(x) - 1)) for x in u[i])


def quantization_cauchy(u, rows, i):
    return math.log(1 + L / 2 * (1 - cosine([abs(x) for x in u[i]], [1] * L)) / 4)


def counts(u, rows, i):
    """The histograms of similar and of dissimilar images."""
    width = L / BINS
    found = np.zeros((BINS + 1, 2))
    for j, k in itertools.product(set(range(B)) - {i}, range(BINS + 1)):
        weight = max(0, 1 - abs((L - dot(u[i], u[j])) / 2 - k * width) / width)
        found[k, 0 if share_label(rows, i, j) else 1] += weight
    return found


def entropy(distribution):
    return -sum(p * math.log(p) for p in distribution if p > 0)


def mutual_information(u, rows, i):
    near, far = counts(u, rows, i).T
    conditional = sum(
        kind.sum() / (B - 1) * entropy(kind / kind.sum()) for kind in (near, far) if kind.sum()
    )
    return entropy((near + far) / (B - 1)) - conditional


def average_precision(u, rows, i):
    table = counts(u, rows, i)
    total, so_far, near_so_far = 0.0, 0.0, 0.0
    for near, far in table:
        precision = (2 * near_so_far + near + 1) / (2 * so_far + near + far + 1)
        total += near * precision
        near_so_far, so_far = near_so_far + near, so_far + near + far
    return total / near_so_far if near_so_far else 0.0


def with_pairs(loss, **options):
    return lambda u, rows: loss(u, pairwise.similar(rows), **options)


def with_cosine(loss, **options):
    return lambda u, rows: loss(u, pairwise.label_cosine(rows), **options)


def with_histogram(loss):
    return lambda u, rows: loss(distance_histogram.histogram(u, pairwise.similar(rows), bins=BINS))


CASES = {
    "likelihood": (with_pairs(pairwise.likelihood_loss, scale=0.3, margin=1.5), likelihood),
    "contrastive": (with_pairs(pairwise.contrastive_loss, margin=12.0), contrastive),
    "cauchy": (with_pairs(pairwise.cauchy_loss, gamma=4.0), cauchy),
    "difference": (with_cosine(pairwise.difference_loss), difference),
    "cosine_difference": (
        with_cosine(pairwise.difference_loss, cosine=True),
        cosine_difference,
    ),
    "soft_likelihood": (
        with_cosine(pairwise.soft_likelihood_loss, scale=5 / L, gamma=0.1),
        soft_likelihood,
    ),
    "ranking": (with_pairs(triplet.ranking_loss, margin=1.0), ranking),
    "triplet_likelihood": (with_pairs(triplet.likelihood_loss, margin=3.0), triplet_likelihood),
    "central_similarity": (
        lambda u, rows: centers.central_similarity(u, centers_of(rows)),
        literal_csq,
    ),
    "polarization": (
        lambda u, rows: centers.polarization_loss(
            u, rows @ jnp.asarray(CENTERS, jnp.float32), margin=1.0, count_B=rows.sum(1)
        ),
        polarization,
    ),
    "cosine_margin": (
        lambda u, rows: centers.cosine_margin_loss(cosines(u), rows, scale=8.0, margin=0.2),
        cosine_margin(angular=False),
    ),
    "angular_margin": (
        lambda u, rows: centers.cosine_margin_loss(
            cosines(u), rows, scale=8.0, margin=0.2, angular=True
        ),
        cosine_margin(angular=True),
    ),
    "magnitude_1": (lambda u, rows: quantization.magnitude_loss(u, power=1), magnitude(1)),
    "magnitude_3": (lambda u, rows: quantization.magnitude_loss(u, power=3), magnitude(3)),
    "log_cosh": (lambda u, rows: quantization.log_cosh_loss(u), log_cosh),
    "quantization_cauchy": (
        lambda u, rows: quantization.cauchy_loss(u, gamma=4.0),
        quantization_cauchy,
    ),
    "mutual_information": (
        with_histogram(distance_histogram.mutual_information),
        mutual_information,
    ),
    "average_precision": (with_histogram(distance_histogram.average_precision), average_precision),
}


def outputs(seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (B, L)).astype(np.float32)


@pytest.mark.parametrize("name", CASES)
def test_a_loss_is_its_loop_and_finite_and_follows_a_permutation(name):
    loss, loop = CASES[name]

    @jax.jit
    def compiled(u, rows):
        def total(u):
            values = loss(u, rows)
            # The diagonal is no pair.
            return values.sum(where=values.ndim == 1 or ~jnp.eye(B, dtype=bool)), values

        return jax.grad(total, has_aux=True)(u)

    u = outputs()
    gradient, values = compiled(u, ROWS)
    places = itertools.product(range(B), repeat=values.ndim)
    places = [place for place in places if values.ndim == 1 or place[0] != place[1]]

    def loops(u):
        return np.array([loop(u, ROWS.tolist(), *place) for place in places])

    found = [values[place] for place in places]
    np.testing.assert_allclose(found, loops(np.float64(u)), rtol=2e-5, atol=1e-5)
    step = 1e-5 * np.random.default_rng(2).normal(size=u.shape)
    change = (loops(u + step) - loops(u - step)).sum() / 2
    np.testing.assert_allclose(np.vdot(gradient, step), change, rtol=1e-3, atol=1e-9)

    order = np.random.default_rng(1).permutation(B)
    moved_gradient, moved = compiled(u[order], ROWS[order])
    np.testing.assert_allclose(moved_gradient, gradient[order], rtol=1e-4, atol=1e-5)
    moved_found = [moved[place] for place in places]
    permuted = [values[tuple(order[list(place)])] for place in places]
    np.testing.assert_allclose(moved_found, permuted, rtol=1e-4, atol=1e-5)

    for extreme in (np.zeros_like(u), -np.zeros_like(u), 1e4 * u, 1e4 * np.sign(u)):
        for found in compiled(extreme, ROWS):
            assert np.isfinite(found).all(), name


def test_known_identities():
    u, similar = 3 * outputs(), pairwise.similar(ROWS)
    # |u| - 1 squared is the distance from the code.
    np.testing.assert_allclose(
        quantization.magnitude_loss(u, power=2), quantization.sign_loss(u), rtol=1e-6
    )
    # CSQ's cross-entropy is that of 2 u.
    target = centers_of(ROWS)
    expected = multi_label.binary_cross_entropy(2 * u, (target + 1) / 2) / L
    np.testing.assert_allclose(centers.central_similarity(u, target), expected, rtol=1e-6)
    # A table that holds the batch's own outputs gives the batch's loss, to the bit.
    np.testing.assert_array_equal(
        pairwise.likelihood_loss(u, similar, others_NxL=u), pairwise.likelihood_loss(u, similar)
    )
    # A scale is a factor of u, and without a margin the loss is DPSH's.
    np.testing.assert_allclose(
        pairwise.likelihood_loss(u, similar, scale=2.0, margin=0.0),
        pairwise.likelihood_loss(2 * u, similar),
        rtol=1e-5,
    )
    # IDHN's loss on images of one class each is DPSH's, scaled.
    ids = np.array([0, 1, 0, 2, 1, 0, 2, 2])
    np.testing.assert_allclose(
        pairwise.soft_likelihood_loss(u, pairwise.label_cosine(ids), scale=0.5, gamma=9.0),
        pairwise.likelihood_loss(u, pairwise.similar(ids)),
        rtol=1e-5,
        atol=1e-6,
    )


def test_zero_has_a_gradient_away_from_it():
    """Bit = u > 0, so that 0 counts as the bit -1, which pulls."""
    for loss, slope in (
        (lambda u: quantization.magnitude_loss(u, power=1), 1.0),
        (lambda u: quantization.magnitude_loss(u, power=3), 3.0),
        (quantization.log_cosh_loss, math.tanh(1.0)),
    ):
        found = jax.grad(lambda u, loss=loss: loss(u).sum())(np.zeros((1, 2), np.float32))
        np.testing.assert_allclose(found, [[slope, slope]], rtol=1e-6)


def test_imbalance_weights_give_both_kinds_the_same_total():
    similar = pairwise.similar(ROWS)
    weights = np.asarray(pairwise.imbalance_weights(similar))
    pairs = [(i, j) for i, j in itertools.permutations(range(B), 2)]
    near = [pair for pair in pairs if share_label(ROWS, *pair)]
    for i, j in pairs:
        of_kind = len(near) if (i, j) in near else len(pairs) - len(near)
        assert weights[i, j] == pytest.approx(len(pairs) / of_kind)
    values = np.random.default_rng(0).normal(size=(B, B)).astype(np.float32)
    far = set(pairs) - set(near)
    expected = (mean(values[p] for p in near) + mean(values[p] for p in far)) / 2
    np.testing.assert_allclose(pairwise.mean_over_pairs(values, weights), expected, rtol=1e-5)
    # Batches of one kind of pairs.
    for one_kind in (np.ones((3, 3), bool), np.eye(3, dtype=bool)):
        np.testing.assert_array_equal(
            pairwise.imbalance_weights(one_kind)[~np.eye(3, dtype=bool)], 1
        )
    assert pairwise.mean_over_pairs(values, 0 * weights) == 0


def test_anchors_without_triplets_are_left_out():
    similar = pairwise.similar(np.array([0, 0, 1]))  # The last image has no similar one.
    np.testing.assert_allclose(triplet.mean_over_anchors(np.float32([1, 3, 99]), similar), 2)
    assert triplet.mean_over_anchors(np.float32([1, 3]), np.ones((2, 2), bool)) == 0


def test_every_distance_is_counted_once():
    similar = pairwise.similar(ROWS)
    # 49 codes of -1 and +1 bits: at the outer centers, rounding must lose nothing.
    codes = np.tile(np.where(outputs() > 0, 1, -1), (1, 8)).astype(np.float32)[:, :47]
    for u, bins in ((codes, 5), (outputs(), 1)):
        found = distance_histogram.histogram(u, similar, bins=bins)
        assert found.shape == (B, bins + 1, 2)
        np.testing.assert_allclose(found.sum((1, 2)), B - 1, rtol=1e-6)


def test_average_precision_is_the_tie_aware_one_up_to_its_approximation():
    """On codes, with a bin per distance, against the mean over random orders of ties."""
    rng = np.random.default_rng(3)
    codes = np.where(rng.normal(size=(60, 16)) > 0, 1, -1).astype(np.float32)
    labels = rng.integers(0, 3, 60)
    counts = distance_histogram.histogram(codes, pairwise.similar(labels), bins=16)
    found = distance_histogram.average_precision(counts)
    for i in range(4):
        others = np.delete(np.arange(60), i)
        distance = (codes[others] != codes[i]).sum(1)
        relevant = labels[others] == labels[i]
        values = []
        for _ in range(200):
            order = np.lexsort((rng.random(59), distance))
            hits = np.cumsum(relevant[order])
            values.append((hits / np.arange(1, 60))[relevant[order]].mean())
        assert abs(found[i] - np.mean(values)) < 0.02


def test_bad_input_is_refused():
    u, similar = outputs(), pairwise.similar(ROWS)
    signs = 2 * similar.astype(np.int32) - 1
    for loss in (
        lambda s: pairwise.contrastive_loss(u, s, margin=2.0),
        lambda s: pairwise.cauchy_loss(u, s, gamma=2.0),
        lambda s: triplet.likelihood_loss(u, s, margin=2.0),
        lambda s: distance_histogram.histogram(u, s, bins=2),
    ):
        for bad in (signs, similar[:3]):
            with pytest.raises(AssertionError):
                loss(bad)
    with pytest.raises(ValueError, match="bins: 0 given; allowed: 1 or more"):
        distance_histogram.histogram(u, similar, bins=0)
    with pytest.raises(ValueError, match="power: 0 given; allowed: 1 or more"):
        quantization.magnitude_loss(u, power=0)
