"""Augmentation against every window of an image, and its independence of all but the keys."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jhash.data import augment, preprocess
from jhash.errors import InputError
from tests.support.pictures import numbered, some_images

pytestmark = pytest.mark.usefixtures("quick_compilation")


def keys(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


def windows(image, height, width, pad, flip):
    """Every window of the reflected image, by brute force: {bytes: [(row, column, flipped)]}."""
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    found = {}
    for row in range(padded.shape[0] - height + 1):
        for column in range(padded.shape[1] - width + 1):
            window = padded[row : row + height, column : column + width]
            for flipped in (False, True)[: 1 + flip]:
                view = window[:, ::-1] if flipped else window
                found.setdefault(view.tobytes(), []).append((row, column, flipped))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "pad", "crop", "flip"),
    [
        ((6, 6), 2, None, True),
        ((6, 5), 4, None, True),
        ((7, 8), 0, 5, True),
        ((7, 8), 1, 6, False),
        ((5, 5), 0, None, True),
        ((5, 4), 1, 1, False),
    ],
)
def test_augment_gives_every_window_equally_often_and_nothing_else(side, pad, crop, flip):
    count = 3000
    image = numbered(1, *side, 2)[0]
    out = side if crop is None else (crop, crop)
    allowed = windows(image, *out, pad, flip)
    views = augment.augment(
        jnp.broadcast_to(image, (count, *image.shape)), keys(count), pad=pad, crop=crop, flip=flip
    )
    assert views.shape == (count, *out, 2)
    drawn = [np.asarray(view).tobytes() for view in np.asarray(views)]
    assert set(drawn) == set(allowed)
    total = sum(len(places) for places in allowed.values())
    for view, places in allowed.items():
        share = len(places) / total
        assert abs(drawn.count(view) - count * share) < 5 * np.sqrt(count * share * (1 - share))


@pytest.mark.slow
def test_augment_without_options_is_the_identity_and_keeps_the_dtype():
    images = some_images(4, 6, 6, 3)
    np.testing.assert_array_equal(augment.augment(images, keys(4)), images)
    assert augment.augment(jnp.asarray(images), keys(4), pad=1, flip=True).dtype == jnp.uint8


@pytest.mark.slow
def test_an_image_depends_on_its_own_key_alone():
    transform = jax.jit(functools.partial(augment.augment, pad=3, crop=10, flip=True))
    images, own = numbered(16, 12, 12), keys(16)
    expected = np.asarray(transform(images, own))
    assert not np.array_equal(expected, transform(images, keys(16, seed=1)))

    order = np.random.default_rng(0).permutation(16)
    np.testing.assert_array_equal(transform(images[order], own[order]), expected[order])
    np.testing.assert_array_equal(transform(images[5:6], own[5:6]), expected[5:6])
    others = images.copy()
    others[:8] = -1
    np.testing.assert_array_equal(transform(others, own)[8:], expected[8:])


@pytest.mark.slow
def test_training_images_do_not_depend_on_the_number_of_devices():
    pipeline = jax.jit(functools.partial(augment.train_images, size=16, crop=14, flip=True))
    images, own = some_images(16, 12, 12, 3), keys(16)
    expected = pipeline(images, own, 7.0)
    spread = NamedSharding(Mesh(jax.devices(), "devices"), PartitionSpec("devices"))
    found = pipeline(jax.device_put(images, spread), jax.device_put(own, spread), 7.0)
    assert len(found.sharding.device_set) == 8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 7}, "crop: 7x7 given; allowed: up to 6x6"),
        ({"crop": 11, "pad": 2}, "crop: 11x11 given; allowed: up to 10x10"),
        ({"pad": 6}, "pad: 6 given; allowed: 0 to 5"),
        ({"pad": -1}, "pad: -1 given; allowed: 0 to 5"),
    ],
)
def test_augment_refuses(options, message):
    with pytest.raises(InputError, match=message):
        augment.augment(numbered(2, 6, 6), keys(2), **options)


@pytest.mark.slow
def test_the_input_in_training_is_its_parts():
    images, own = some_images(8, 10, 10, 1), keys(8)
    mean = preprocess.mean_image([images])
    options = {"size": 12, "scale": 1 / 255, "channels": 3}
    whole = preprocess.preprocess(images, mean, **options)
    np.testing.assert_array_equal(
        augment.train_images(images, own, mean, **options, crop=9, pad=2, flip=True),
        augment.augment(whole, own, crop=9, pad=2, flip=True),
    )


VIEW = {"size": 12, "scale": 1 / 255, "pad": 3, "flip": True}


def test_one_view_is_the_training_image():
    images, own = some_images(8, 12, 12, 3), keys(8)
    expected = augment.train_images(images, own, 7.0, **VIEW)
    np.testing.assert_array_equal(augment.train_views(images, own, 7.0, **VIEW), expected)
    np.testing.assert_array_equal(augment.train_views(images, own, 7.0, views=1, **VIEW), expected)


def test_views_have_a_leading_axis_and_differ():
    images, own = numbered(8, 12, 12), keys(8)
    views = np.asarray(augment.train_views(images, own, 7.0, views=3, **VIEW))
    assert views.shape == (3, 8, 12, 12, 1)
    assert views.dtype == np.float32
    np.testing.assert_array_equal(views[0], augment.train_images(images, own, 7.0, **VIEW))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        # Of 98 windows two views of an image are now and then the same one, but not of all images.
        assert (views[one] != views[other]).any(axis=(1, 2, 3)).sum() >= 6
    # More views do not change those before them.
    fewer = augment.train_views(images, own, 7.0, views=2, **VIEW)
    np.testing.assert_array_equal(fewer, views[:2])


@pytest.mark.slow
def test_the_views_of_an_image_depend_on_its_own_key_alone():
    transform = jax.jit(functools.partial(augment.train_views, views=2, **VIEW))
    images, own = numbered(16, 12, 12), keys(16)
    expected = np.asarray(transform(images, own, 7.0))
    assert not np.array_equal(expected, transform(images, keys(16, seed=1), 7.0))

    order = np.random.default_rng(0).permutation(16)
    np.testing.assert_array_equal(transform(images[order], own[order], 7.0), expected[:, order])
    np.testing.assert_array_equal(transform(images[5:6], own[5:6], 7.0), expected[:, 5:6])
    others = images.copy()
    others[:8] = -1
    np.testing.assert_array_equal(transform(others, own, 7.0)[:, 8:], expected[:, 8:])


@pytest.mark.parametrize("side", [1, 2, 5])
def test_erased_squares_are_all_those_with_their_center_in_the_image(side):
    """Every square by brute force: all are drawn, about equally often, and nothing else."""
    count, height, width = 2000, 4, 5
    image = numbered(1, height, width, 2)[0] + 1
    expected = {}
    for row in range(height):
        for column in range(width):
            erased = image.copy()
            top, left = row - side // 2, column - side // 2
            erased[max(top, 0) : top + side, max(left, 0) : left + side] = 0
            expected[erased.tobytes()] = expected.get(erased.tobytes(), 0) + 1 / (height * width)
    images = jnp.broadcast_to(image, (count, *image.shape))
    drawn = [np.asarray(one).tobytes() for one in augment.erase_squares(images, keys(count), side)]
    assert set(drawn) == set(expected)
    for erased, share in expected.items():
        spread = np.sqrt(count * share * (1 - share))
        assert abs(drawn.count(erased) - count * share) < 5 * spread


def test_erasing_leaves_the_draws_of_windows_as_they_are():
    images, own = some_images(8, 12, 12, 1), keys(8)
    whole = np.asarray(augment.train_images(images, own, 7.5, **VIEW))
    erased = np.asarray(augment.train_images(images, own, 7.5, **VIEW, erase=4))
    assert 0 < (erased == 0).sum() <= 8 * 16
    np.testing.assert_array_equal(erased[erased != 0], whole[erased != 0])
