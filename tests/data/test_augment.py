import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jhash.data import augment
from jhash.errors import InputError


def some_images(count, height, width, channels, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, height, width, channels), np.uint8)


def numbered(count, height, width, channels=1):
    """Images in which no two pixels are equal."""
    return np.arange(count * height * width * channels, dtype=np.float32).reshape(
        count, height, width, channels
    )


def keys(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


def test_mean_image_is_the_float64_mean_whatever_the_batches():
    images = some_images(1000, 9, 7, 3)
    expected = np.mean(images.astype(np.float64), axis=0).astype(np.float32)
    for cuts in ([], [1], [100, 350, 999]):
        found = augment.mean_image(iter(np.split(images, cuts)))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("batches", [[], [np.zeros((0, 2, 2, 1))], [np.zeros((2, 2, 1))]])
def test_mean_image_refuses_nothing_and_single_images(batches):
    with pytest.raises(InputError, match="batches"):
        augment.mean_image(batches)


@pytest.mark.parametrize(
    ("side", "size"), [((28, 28), 224), ((64, 64), 28), ((50, 37), 45), ((32, 32), 32)]
)
def test_resize_is_pytorchs(side, size):
    images = some_images(3, *side, 3)
    found = jax.jit(functools.partial(augment.preprocess, size=size))(images, 0.0)
    other = torch.nn.functional.interpolate(
        torch.tensor(images.transpose(0, 3, 1, 2), dtype=torch.float32),
        (size, size),
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, other.numpy().transpose(0, 2, 3, 1), atol=2e-3)


def test_preprocess_without_resize_is_arithmetic():
    images = some_images(4, 8, 8, 3)
    mean = augment.mean_image([images])
    for centre in (mean, mean.mean((0, 1)), 120.5):
        found = augment.preprocess(images, centre, size=8, scale=1 / 255)
        expected = (images.astype(np.float64) - centre) / 255
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("size", [12, 20, 40])
def test_mean_may_be_taken_off_before_the_resize(size):
    images = some_images(4, 20, 20, 3)
    mean = augment.mean_image([images])
    found = augment.preprocess(images, mean, size=size, scale=0.5)
    expected = augment.preprocess(images - mean, 0.0, size=size, scale=0.5)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_mean_of_another_size_is_resized_too():
    images = np.full((2, 10, 10, 3), 200, np.uint8)
    ramp = np.broadcast_to(np.arange(4, dtype=np.float32)[None, :, None], (4, 4, 3))
    found = augment.preprocess(images, ramp, size=8)
    # Half-pixel centres: the ramp 0, 1, 2, 3 at twice the size, held at its ends.
    expected = 200 - np.array([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    np.testing.assert_allclose(found, np.broadcast_to(expected[:, None], found.shape), atol=1e-4)


def test_grey_becomes_three_channels_before_the_mean():
    images = some_images(2, 6, 6, 1)
    colour = np.float32([1, 2, 3])
    found = augment.preprocess(images, colour, size=6, channels=3)
    np.testing.assert_array_equal(found, images.astype(np.float32) - colour)
    assert augment.preprocess(images, 0.0, size=6, channels=1).shape == (2, 6, 6, 1)


def test_preprocess_refuses_channels_that_do_not_fit():
    with pytest.raises(InputError, match="channels: 1 given for images of 3"):
        augment.preprocess(some_images(1, 4, 4, 3), 0.0, size=4, channels=1)
    with pytest.raises(InputError, match=r"mean: shape \(3,\) given for images of 1"):
        augment.preprocess(some_images(1, 4, 4, 1), np.zeros(3), size=4)


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


def test_augment_without_options_is_the_identity_and_keeps_the_dtype():
    images = some_images(4, 6, 6, 3)
    np.testing.assert_array_equal(augment.augment(images, keys(4)), images)
    assert augment.augment(jnp.asarray(images), keys(4), pad=1, flip=True).dtype == jnp.uint8


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


def test_training_images_do_not_depend_on_the_number_of_devices():
    pipeline = jax.jit(functools.partial(augment.train_images, size=16, crop=14, flip=True))
    images, own = some_images(16, 12, 12, 3), keys(16)
    expected = pipeline(images, own, 7.0)
    spread = NamedSharding(Mesh(jax.devices(), "devices"), PartitionSpec("devices"))
    found = pipeline(jax.device_put(images, spread), jax.device_put(own, spread), 7.0)
    assert len(found.sharding.device_set) == 8
    np.testing.assert_array_equal(found, expected)


def test_center_crop():
    images = numbered(2, 7, 8)
    np.testing.assert_array_equal(augment.center_crop(images, 4), images[:, 1:5, 2:6])
    np.testing.assert_array_equal(augment.center_crop(images, 7), images[:, :, 0:7])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 7}, "crop: 7x7 given; the image has 6x6"),
        ({"crop": 11, "pad": 2}, "crop: 11x11 given; the image has 10x10"),
        ({"pad": 6}, "pad: 6 given; 0 to 5"),
        ({"pad": -1}, "pad: -1 given"),
    ],
)
def test_augment_refuses(options, message):
    with pytest.raises(InputError, match=message):
        augment.augment(numbered(2, 6, 6), keys(2), **options)


def test_center_crop_refuses():
    with pytest.raises(InputError, match="crop: 7x7 given"):
        augment.center_crop(numbered(2, 6, 8), 7)


def test_pipelines_are_their_parts():
    images, own = some_images(8, 10, 10, 1), keys(8)
    mean = augment.mean_image([images])
    geometry = {"size": 12, "scale": 1 / 255, "channels": 3}
    whole = augment.preprocess(images, mean, **geometry)
    np.testing.assert_array_equal(
        augment.train_images(images, own, mean, **geometry, crop=9, pad=2, flip=True),
        augment.augment(whole, own, crop=9, pad=2, flip=True),
    )
    np.testing.assert_array_equal(augment.eval_images(images, mean, **geometry), whole)
    np.testing.assert_array_equal(
        augment.eval_images(images, mean, **geometry, crop=9), augment.center_crop(whole, 9)
    )
