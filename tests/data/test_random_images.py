"""The source of random images, by itself and through `load`."""

import numpy as np
import pytest

from jhash import data
from jhash.data import random_images, sources
from jhash.errors import InputError


@pytest.mark.parametrize("options", [{}, {"side": 5, "channels": 3}])
def test_images_labels_and_parts(options):
    source = random_images.random_images(**options)
    sources.check_source(source)
    assert len(source) == 64
    side = options.get("side", 28)
    assert source.image_shape == (side, side, options.get("channels", 1))
    images = source.images(np.arange(64))
    assert (images.dtype, images.shape) == (np.uint8, (64, *source.image_shape))
    # Random bytes: no two images are equal, and the mean is near that of 0..255.
    assert len(np.unique(images.reshape(64, -1), axis=0)) == 64
    assert abs(images.mean() - 127.5) < 5 * 74 / np.sqrt(images.size)
    assert source.labels.dtype == np.int32
    np.testing.assert_array_equal(source.labels, np.arange(64) % 10)
    assert source.class_names == tuple("0123456789")
    np.testing.assert_array_equal(source.parts["train"], np.arange(48))
    np.testing.assert_array_equal(source.parts["test"], np.arange(48, 64))


def test_label_rows_are_those_of_the_class_ids():
    source = random_images.random_images(multi_label=True)
    assert source.labels.dtype == np.uint8
    np.testing.assert_array_equal(source.labels, np.eye(10)[np.arange(64) % 10])


def test_load_gives_the_same_images_every_time():
    loaded, again = (data.load("random", "official", side=4) for _ in range(2))
    np.testing.assert_array_equal(loaded.train, np.arange(48))
    np.testing.assert_array_equal(loaded.database, np.arange(48))
    np.testing.assert_array_equal(loaded.queries, np.arange(48, 64))
    everything = np.arange(64)
    np.testing.assert_array_equal(loaded.source.images(everything), again.source.images(everything))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 0}, "side: 0 given; allowed: 1 to 10,000"),
        ({"side": 10**13}, "side: 10000000000000 given; allowed: 1 to 10,000"),
        ({"channels": 2}, "channels: 2 given; allowed: 1 and 3"),
    ],
)
def test_errors_name_the_option(options, message):
    with pytest.raises(InputError, match=f"^{message}"):
        data.load("random", "official", **options)
