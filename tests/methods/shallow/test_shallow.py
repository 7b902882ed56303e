"""Unsupervised hash functions against float64 and closed forms."""

import jax
import numpy as np
import pytest

from jhash import retrieval
from jhash.errors import InputError
from jhash.methods.shallow import itq, lsh, pcah, sh
from jhash.solvers import pca, rotation
from tests.support import correlated, precisions

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def features():
    return correlated.features()


def test_pcah_is_the_signs_of_the_components(features):
    params = pcah.fit(features, None, 8, KEY)
    centered, expected = correlated.float64_components(features, 8)
    outputs, expected = np.asarray(pcah.encode(params, features)), centered @ expected
    signs = np.sign((outputs * expected).sum(0))
    np.testing.assert_allclose(outputs, expected * signs, atol=1e-3)


def test_lsh_bits_differ_as_often_as_angles_say(features):
    params = lsh.fit(features, None, 20_000, KEY)
    bits = np.asarray(lsh.encode(params, features[:12])) > 0
    centered = (features - features.mean(0, dtype=np.float64))[:12]
    unit = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    angles = np.arccos(np.clip(unit @ unit.T, -1, 1))
    # Five standard deviations of a share of 20,000 draws.
    np.testing.assert_allclose((bits[:, None] != bits).mean(-1), angles / np.pi, atol=0.018)


def test_itq_s_products_are_not_rounded(features):
    found = precisions.of_products(lambda x: itq.fit(x, None, 5, KEY)["kernel"], features)
    assert len(found) >= 4, "a covariance, a projection, a rotation and the layer"
    assert set(found) == {(jax.lax.Precision.HIGHEST,) * 2}


def test_itq_s_projection_is_rotation_after_components(features):
    params = itq.fit(features, None, 5, KEY)
    mean, components = pca.components(features, 5)
    turned, _ = rotation.rotate((features - mean) @ components, KEY)
    expected = (features - np.asarray(mean)) @ np.asarray(components) @ np.asarray(turned)
    np.testing.assert_allclose(itq.encode(params, features), expected, atol=1e-3)


def test_eigenfunctions_of_a_box_with_known_sides():
    # Sides 8, 4 and 1 along the axes: k / side = 1/8, 2/8 = 1/4 (two of them), 3/8, 4/8 = 2/4.
    rng = np.random.default_rng(1)
    features = rng.uniform(0, [8, 4, 1], (4000, 3)).astype(np.float32)
    features[:8] = [[x, y, z] for x in (0, 8) for y in (0, 4) for z in (0, 1)]
    params = sh.fit(features, None, 6, KEY)
    # Components are of length 1, so a column's length is the frequency.
    kernel = np.asarray(params["kernel"])
    axes, sides = np.abs(kernel).argmax(0), np.pi / np.linalg.norm(kernel, axis=0)
    assert axes[0] == axes[3] == 0
    assert sorted(axes[1:3].tolist()) == [0, 1]
    np.testing.assert_allclose(sides[0], 8, rtol=0.02)
    # The second of two equally likely bits is 1 in the middle of the long axis's halves.
    outputs = np.asarray(sh.encode(params, features))
    x = features[:, 0]
    np.testing.assert_allclose(np.abs(outputs[:, 0]), np.abs(np.cos(np.pi * x / 8)), atol=0.05)
    assert np.abs((outputs > 0).mean(0) - 0.5).max() < 0.05


def test_eigenfunctions_are_those_of_a_reference_in_float64(features):
    bits = 12
    params = sh.fit(features, None, bits, KEY)
    centered, projection = correlated.float64_components(features, bits)
    # A component's sign decides at which end of its axis the phase is 0.
    projection *= np.sign((projection * np.asarray(pca.components(features, bits)[1])).sum(0))
    projected = centered @ projection
    low, sides = projected.min(0), np.ptp(projected, 0)
    ranked = sorted((k / side, k, axis) for axis, side in enumerate(sides) for k in range(1, 13))
    expected = [
        np.cos(k * np.pi * (projected[:, i] - low[i]) / sides[i]) for _, k, i in ranked[:bits]
    ]
    np.testing.assert_allclose(sh.encode(params, features), np.stack(expected, 1), atol=2e-3)


def test_more_bits_than_features(features):
    assert lsh.encode(lsh.fit(features, None, 64, KEY), features).shape == (600, 64)
    assert sh.encode(sh.fit(features, None, 64, KEY), features).shape == (600, 64)
    for method in (pcah, itq):
        with pytest.raises(InputError, match=r"^bits: 64 given; allowed: 1 to 20"):
            method.fit(features, None, 64, KEY)


def test_a_feature_that_never_varies_gives_no_bits():
    features = np.random.default_rng(2).normal(size=(50, 3)).astype(np.float32)
    features[:, 1] = 2
    params = sh.fit(features, None, 9, KEY)
    assert np.isfinite(sh.encode(params, features)).all()


@pytest.mark.parametrize("method", [lsh, pcah, itq, sh], ids=["lsh", "pcah", "itq", "sh"])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_features_that_are_all_alike_give_one_code(method, value):
    features = np.full((9, 4), value, np.float32)
    outputs = np.asarray(method.encode(method.fit(features, None, 3, KEY), features))
    assert np.isfinite(outputs).all()
    assert len(np.unique(np.asarray(retrieval.pack_codes(outputs)))) == 1
