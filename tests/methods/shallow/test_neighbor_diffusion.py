"""Diffused codes: what the graph brings, the fitted function, and what is refused."""

import jax
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import normalize

from jhash import retrieval
from jhash.errors import InputError
from jhash.methods import diffused_codes
from jhash.methods.embeddings import neighbor_diffusion as embedding
from jhash.methods.shallow import itq, neighbor_diffusion

KEY = jax.random.key(3)
BITS = 12


@pytest.fixture(scope="module")
def curves():
    """(features [600, 20], which [600]): six classes, each along a curve of its own."""
    rng = np.random.default_rng(0)
    which = np.arange(600) % 6
    place = np.linspace(0, 2 * np.pi, 600)
    ends = rng.normal(size=(3, 6, 20))
    curve = ends[0, which] + sum(
        2 * wave(place)[:, None] * end[which]
        for wave, end in zip((np.sin, np.cos), ends[1:], strict=True)
    )
    return np.float32(curve + 0.05 * rng.normal(size=curve.shape)), which


def score(module, features, which):
    """MAP of 150 samples that were left out of the fit."""
    outputs = module.encode(module.fit(features[150:], None, BITS, KEY), features)
    codes = np.asarray(retrieval.pack_codes(outputs))
    return retrieval.mean_average_precision(
        codes[:150], codes[150:], which[:150], which[150:], BITS
    )


def test_codes_follow_curves_of_samples(curves):
    features, which = curves
    order = np.random.default_rng(1).permutation(600)
    diffused = score(neighbor_diffusion, features[order], which[order])
    assert diffused > score(itq, features[order], which[order]) + 0.1


def test_the_function_is_a_ridge_regression_on_kernels(curves):
    features, _ = curves
    params = neighbor_diffusion.fit(features, None, BITS, KEY, anchors=80)
    x = np.float64(diffused_codes.reduce(params, features))
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, rtol=1e-5)
    # The rotation starts with the first of two keys.
    codes = diffused_codes.outputs(x, BITS, jax.random.split(KEY)[0], 15, 0.9, 20) > 0
    anchors = np.float64(params["anchors"])
    assert anchors.shape == (80, 20)
    squares = np.square(x[:, None] - anchors).sum(2)
    scale = 1 / (2 * 0.5**2 * squares.mean())
    np.testing.assert_allclose(params["scale"], scale, rtol=1e-4)
    phi = rbf_kernel(x, anchors, gamma=scale)
    ridge = Ridge(alpha=3e-5 * 600, solver="cholesky").fit(phi, np.where(codes, 1.0, -1.0))
    outputs = np.asarray(neighbor_diffusion.encode(params, features))
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, ridge.predict(phi), atol=2e-3)
    assert ((outputs > 0) == codes).mean() > 0.9
    # Neither the length of a feature nor the order of samples counts.
    np.testing.assert_allclose(neighbor_diffusion.encode(params, 7 * features), outputs, atol=1e-4)


def test_the_graph_of_diffused_features_has_their_cosines(curves):
    """NumPy and scikit-learn in float64: principal components, neighbors, rounds, cosines."""
    features, _ = curves
    unit = normalize(np.float64(features))
    # All 20 components are kept, a rotation that no cosine sees.
    x = normalize(unit - unit.mean(0))
    cosines = x @ x.T
    np.fill_diagonal(cosines, -1)
    near = np.zeros_like(cosines)
    rows = np.arange(600)[:, None]
    near[rows, np.argsort(-cosines, axis=1)[:, :15]] = 1
    edges = np.maximum(near, near.T) * np.maximum(cosines, 0)
    roots = np.sqrt(edges.sum(1))
    spread = x
    for _ in range(20):
        spread = 0.9 * (edges / roots / roots[:, None]) @ spread + 0.1 * x
    spread = normalize(spread)
    graph = diffused_codes.graph(features)
    assert graph.left is graph.right
    assert graph.left.shape == (600, 20)
    np.testing.assert_allclose(graph.left @ graph.right.T, spread @ spread.T, atol=1e-4)


def test_the_embedding_has_the_codes_of_the_graph(curves):
    features, _ = curves
    outputs = embedding.embed(features, BITS, KEY, neighbors=9, weight=0.8, rounds=3)
    reduced = diffused_codes.reduce(diffused_codes.reduction(features, BITS), features)
    np.testing.assert_array_equal(outputs, diffused_codes.outputs(reduced, BITS, KEY, 9, 0.8, 3))
    np.testing.assert_allclose(outputs.mean(0), 0, atol=1e-5)
    embedding.check(600, BITS, neighbors=599)
    with pytest.raises(InputError, match=r"^neighbors: 600 given; allowed: .*599"):
        embedding.check(600, BITS, neighbors=600)
    with pytest.raises(InputError, match=r"^weight: 1\.0 given"):
        embedding.check(600, BITS, weight=1.0)


def test_few_and_alike_samples(curves):
    features, _ = curves
    few = neighbor_diffusion.fit(features[:5], None, 4, KEY)
    assert np.isfinite(neighbor_diffusion.encode(few, features)).all()
    alike = np.full((9, 3), 0.1, np.float32)
    outputs = neighbor_diffusion.encode(neighbor_diffusion.fit(alike, None, 2, KEY), alike)
    assert np.isfinite(outputs).all()
    with pytest.raises(InputError, match=r"^bits: 6 given; allowed: 1 to 5"):
        neighbor_diffusion.fit(features[:5], None, 6, KEY)
    with pytest.raises(InputError, match=r"^v_Nxz: 1 samples given; allowed: 2 or more"):
        neighbor_diffusion.fit(features[:1], None, 1, KEY)
