"""Principal components against a singular value decomposition in float64."""

import numpy as np
import pytest

from jhash.errors import InputError
from jhash.solvers import pca
from tests.support import correlated

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture(scope="module")
def features():
    return correlated.features()


def test_components_are_those_of_a_singular_value_decomposition(features):
    mean, found = pca.components(features, 6)
    _, expected = correlated.float64_components(features, 6)
    np.testing.assert_allclose(mean, features.mean(0, dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(np.abs((expected * found).sum(0)), 1, atol=1e-5)
    np.testing.assert_allclose(found.T @ found, np.eye(6), atol=1e-5)
    assert (np.take_along_axis(np.asarray(found), np.abs(found).argmax(0)[None], 0) > 0).all()


def test_a_layer_projects_what_is_left_of_the_mean(features):
    mean, components = pca.components(features, 4)
    layer = pca.as_layer(mean, components)
    expected = (np.float64(features) - mean) @ np.float64(components)
    np.testing.assert_allclose(pca.apply_layer(layer, features), expected, atol=1e-3)


def test_more_components_than_features_or_samples(features):
    for given, largest in ((features, 20), (features[:7], 7)):
        with pytest.raises(InputError, match=rf"^bits: 21 given; allowed: 1 to {largest},"):
            pca.components(given, 21)
    for given in (features[:0], features[:, :0]):
        with pytest.raises(
            InputError, match=r"^features: \d+ samples of \d+ features given; .* 1 o"
        ):
            pca.components(given, 1)
