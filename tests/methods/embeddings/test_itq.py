"""ITQ's codes as pseudo labels: those that ITQ gives, as a hash function, to the same features."""

import jax
import numpy as np
import pytest

from jhash.errors import InputError
from jhash.methods.embeddings import itq as embedding
from jhash.methods.shallow import itq as method
from tests.support import correlated

KEY = jax.random.key(1)


def test_the_codes_are_those_of_the_hash_function():
    features = correlated.features()
    codes = embedding.embed(features, 8, KEY)
    assert codes.dtype == np.float32
    expected = np.asarray(method.encode(method.fit(features, None, 8, KEY), features))
    np.testing.assert_allclose(codes, expected, atol=1e-4)
    # A rotation keeps the lengths of the projections on the first components.
    centered, first = correlated.float64_components(features, 8)
    lengths = np.linalg.norm(centered @ first, axis=1)
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), lengths, rtol=1e-4)


def test_more_bits_than_features_are_refused():
    with pytest.raises(InputError, match=r"^bits: 21 given; allowed: 1 to 20"):
        embedding.embed(correlated.features(), 21, KEY)
